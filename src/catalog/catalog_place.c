/*-------------------------------------------------------------------------
 *
 * catalog_place.c
 *	  Which group gets which shard: consistent hashing with bounded loads.
 *
 * Each group has virtual nodes, points on a ring of 64-bit numbers; a shard is a
 * point as well.  A shard without a group goes to the first virtual node at or
 * after its point whose group has room.  A group has room for its share, which
 * is the number of shards divided by that of groups, and for one more where the
 * division leaves a rest.
 *
 * When groups are added, those that have too many shards give some away: the
 * shards that are nearest to a virtual node of a group with room.  So no shard
 * moves but those that must, and groups are even to one shard.
 *
 * A new placement is what adding one group after the other, in the order of
 * their numbers, leads to.  Groups get growing numbers, so it is also what a
 * table would have that had been there while the cluster grew.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_place.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "catalog_private.h"

/* Seeds that keep the points of shards apart from those of virtual nodes */
#define SHARD_SEED UINT64CONST(0x7665636462736864)

/* A group while shards are handed out */
typedef struct Member
{
	int			id;
	int			load;			/* shards it has */
	int			share;			/* shards it is to have */
} Member;

/* Shards without a group of those that take part have this owner */
#define NOBODY (-1)

typedef struct Placement
{
	int			shard_count;
	uint64	   *points;			/* by shard */
	int		   *owners;			/* by shard: index of a member, or NOBODY */
	int			member_count;
	Member	   *members;		/* by number of the group */
} Placement;

typedef struct VirtualNode
{
	uint64		point;
	int			member;
} VirtualNode;

typedef struct Ring
{
	int			count;
	VirtualNode *nodes;			/* by point */
} Ring;

/* A shard that is to find a group */
typedef struct Seeker
{
	uint64		distance;		/* to the nearest virtual node with room */
	int			shard;
} Seeker;

static void begin_placement(Placement *placement, int shard_count,
							const int *groups, int group_count);
static int *end_placement(Placement *placement);
static void spread(Placement *placement);
static int	find_seekers(const Placement *placement, const Ring *ring,
						 Seeker *seekers);
static bool is_seeking(const Placement *placement, int shard);
static void set_loads(Placement *placement);
static void make_ring(Ring *ring, const Placement *placement);
static const VirtualNode *find_room(const Ring *ring,
									const Placement *placement, uint64 point);
static int	find_member(const Placement *placement, int id);
static int	compare_members(const void *a, const void *b);
static int	compare_loads(const void *a, const void *b);
static int	compare_nodes(const void *a, const void *b);
static int	compare_seekers(const void *a, const void *b);

int *
vdb_catalog_place(int shard_count, const int *groups, int group_count)
{
	Placement	placement;

	begin_placement(&placement, shard_count, groups, group_count);
	for (int i = 0; i < shard_count; i++)
		placement.owners[i] = NOBODY;
	for (int i = 1; i <= group_count; i++)
	{
		placement.member_count = i;
		spread(&placement);
	}
	return end_placement(&placement);
}

int *
vdb_catalog_adjust(int shard_count, const int *current, const int *groups,
				   int group_count)
{
	Placement	placement;

	begin_placement(&placement, shard_count, groups, group_count);
	for (int i = 0; i < shard_count; i++)
		placement.owners[i] = find_member(&placement, current[i]);
	spread(&placement);
	return end_placement(&placement);
}

/*
 * begin_placement -- all but the owners
 */
static void
begin_placement(Placement *placement, int shard_count, const int *groups,
				int group_count)
{
	Member	   *members;

	if (group_count < 1 || group_count > VDB_MAX_GROUPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shards can be spread over 1 to %d groups, not %d",
						VDB_MAX_GROUPS, group_count)));
	members = palloc0(group_count * sizeof(Member));
	for (int i = 0; i < group_count; i++)
		members[i].id = groups[i];
	qsort(members, group_count, sizeof(Member), compare_members);
	for (int i = 1; i < group_count; i++)
	{
		if (members[i].id == members[i - 1].id)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("group %d is named more than once",
							members[i].id)));
	}

	placement->member_count = group_count;
	placement->members = members;
	placement->shard_count = shard_count;
	placement->owners = palloc(shard_count * sizeof(int));
	placement->points = palloc(shard_count * sizeof(uint64));
	for (int i = 0; i < shard_count; i++)
		placement->points[i] = hash_bytes_uint32_extended(i, SHARD_SEED);
}

/*
 * end_placement -- the numbers of the owners' groups, by shard
 */
static int *
end_placement(Placement *placement)
{
	int		   *groups = placement->owners;

	for (int i = 0; i < placement->shard_count; i++)
		groups[i] = placement->members[placement->owners[i]].id;
	pfree(placement->members);
	pfree(placement->points);
	return groups;
}

/*
 * spread -- change as few owners as possible, so that each member has its share
 */
static void
spread(Placement *placement)
{
	Member	   *members = placement->members;
	Ring		ring;
	Seeker	   *seekers;
	int			seeker_count;

	set_loads(placement);
	make_ring(&ring, placement);
	seekers = palloc(placement->shard_count * sizeof(Seeker));
	seeker_count = find_seekers(placement, &ring, seekers);

	for (int i = 0; i < seeker_count; i++)
	{
		int			shard = seekers[i].shard;
		int			owner = placement->owners[shard];
		int			taker;

		CHECK_FOR_INTERRUPTS();
		/* its group may have got rid of enough others */
		if (!is_seeking(placement, shard))
			continue;
		taker = find_room(&ring, placement, placement->points[shard])->member;
		if (owner != NOBODY)
			members[owner].load--;
		members[taker].load++;
		placement->owners[shard] = taker;
	}
	pfree(seekers);
	pfree(ring.nodes);
}

/*
 * find_seekers -- shards that may have to move, in the order in which they do:
 * those of nobody, then those that are near to a group with room
 *
 * Returns their number.
 */
static int
find_seekers(const Placement *placement, const Ring *ring, Seeker *seekers)
{
	int			count = 0;

	for (int i = 0; i < placement->shard_count; i++)
	{
		uint64		point = placement->points[i];

		if (!is_seeking(placement, i))
			continue;
		seekers[count].shard = i;
		seekers[count].distance = placement->owners[i] == NOBODY ? 0 :
			find_room(ring, placement, point)->point - point;
		count++;
	}
	CHECK_FOR_INTERRUPTS();
	qsort(seekers, count, sizeof(Seeker), compare_seekers);
	return count;
}

/*
 * is_seeking -- has the shard no group, or one with too many?
 */
static bool
is_seeking(const Placement *placement, int shard)
{
	int			owner = placement->owners[shard];

	return owner == NOBODY ||
		placement->members[owner].load > placement->members[owner].share;
}

/*
 * set_loads -- what each member has, and what it is to have
 *
 * What the division leaves over goes to those that have most already.
 */
static void
set_loads(Placement *placement)
{
	int			count = placement->member_count;
	int			rest = placement->shard_count % count;
	Member	  **order = palloc(count * sizeof(Member *));

	for (int i = 0; i < count; i++)
	{
		placement->members[i].load = 0;
		order[i] = &placement->members[i];
	}
	for (int i = 0; i < placement->shard_count; i++)
	{
		if (placement->owners[i] != NOBODY)
			placement->members[placement->owners[i]].load++;
	}
	qsort(order, count, sizeof(Member *), compare_loads);
	for (int i = 0; i < count; i++)
		order[i]->share = placement->shard_count / count + (i < rest ? 1 : 0);
	pfree(order);
}

/*
 * make_ring -- virtual nodes of the members that have room
 */
static void
make_ring(Ring *ring, const Placement *placement)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	int			each = VDB_DEFAULT_VIRTUAL_NODES;

	if (cluster != NULL)
		each = cluster->virtual_nodes;
	ring->count = 0;
	ring->nodes = palloc_extended(sizeof(VirtualNode) * each *
								  placement->member_count, MCXT_ALLOC_HUGE);
	for (int i = 0; i < placement->member_count; i++)
	{
		const Member *member = &placement->members[i];

		if (member->load >= member->share)
			continue;
		for (int j = 0; j < each; j++)
		{
			VirtualNode *node = &ring->nodes[ring->count++];

			node->point = hash_bytes_uint32_extended(j, member->id);
			node->member = i;
		}
	}
	qsort(ring->nodes, ring->count, sizeof(VirtualNode), compare_nodes);
}

/*
 * find_room -- the first virtual node at or after a point whose member has room
 *
 * There is one: who seeks has a group with too many or none, so another has too
 * few.
 */
static const VirtualNode *
find_room(const Ring *ring, const Placement *placement, uint64 point)
{
	int			low = 0;
	int			high = ring->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (ring->nodes[middle].point < point)
			low = middle + 1;
		else
			high = middle;
	}
	for (int i = 0; i < ring->count; i++)
	{
		const VirtualNode *node = &ring->nodes[(low + i) % ring->count];
		const Member *member = &placement->members[node->member];

		if (member->load < member->share)
			return node;
	}
	elog(ERROR, "no group has room for a shard");
}

/*
 * find_member -- the index of a group, by binary search, or NOBODY
 */
static int
find_member(const Placement *placement, int id)
{
	Member		key = {0};
	Member	   *member;

	key.id = id;
	member = bsearch(&key, placement->members, placement->member_count,
					 sizeof(Member), compare_members);
	return member == NULL ? NOBODY : (int) (member - placement->members);
}

static int
compare_members(const void *a, const void *b)
{
	int			left = ((const Member *) a)->id;
	int			right = ((const Member *) b)->id;

	return (left > right) - (left < right);
}

/*
 * compare_loads -- greatest load first, then by number
 */
static int
compare_loads(const void *a, const void *b)
{
	const Member *left = *(Member *const *) a;
	const Member *right = *(Member *const *) b;

	if (left->load != right->load)
		return right->load - left->load;
	return compare_members(left, right);
}

static int
compare_nodes(const void *a, const void *b)
{
	const VirtualNode *left = a;
	const VirtualNode *right = b;

	if (left->point != right->point)
		return left->point < right->point ? -1 : 1;
	return left->member - right->member;
}

static int
compare_seekers(const void *a, const void *b)
{
	const Seeker *left = a;
	const Seeker *right = b;

	if (left->distance != right->distance)
		return left->distance < right->distance ? -1 : 1;
	return left->shard - right->shard;
}
