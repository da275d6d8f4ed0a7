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

typedef struct VirtualNode
{
	uint64		point;
	Member	   *member;
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

static void spread(int shard_count, int *owners, Member *members,
				   int member_count);
static void count_loads(int shard_count, int *owners, Member *members,
						int member_count);
static void set_shares(int shard_count, Member *members, int member_count);
static void make_ring(Ring *ring, Member *members, int member_count);
static const VirtualNode *find_room(const Ring *ring, uint64 point);
static Member *find_member(Member *members, int count, int id);
static Member *make_members(const int *groups, int group_count);
static int	compare_members(const void *a, const void *b);
static int	compare_loads(const void *a, const void *b);
static int	compare_nodes(const void *a, const void *b);
static int	compare_seekers(const void *a, const void *b);

int *
vdb_catalog_place(int shard_count, const int *groups, int group_count)
{
	Member	   *members = make_members(groups, group_count);
	int		   *owners = palloc0(shard_count * sizeof(int));

	for (int i = 1; i <= group_count; i++)
		spread(shard_count, owners, members, i);
	pfree(members);
	return owners;
}

int *
vdb_catalog_adjust(int shard_count, const int *current, const int *groups,
				   int group_count)
{
	Member	   *members = make_members(groups, group_count);
	int		   *owners = palloc(shard_count * sizeof(int));

	memcpy(owners, current, shard_count * sizeof(int));
	spread(shard_count, owners, members, group_count);
	pfree(members);
	return owners;
}

/*
 * spread -- change as few owners as possible, so that each member has its share
 *
 * "owners" may name groups that are no members; those lose all.
 */
static void
spread(int shard_count, int *owners, Member *members, int member_count)
{
	Ring		ring;
	Seeker	   *seekers;
	int			seeker_count = 0;

	count_loads(shard_count, owners, members, member_count);
	set_shares(shard_count, members, member_count);
	make_ring(&ring, members, member_count);

	/* without an owner: distance 0, so these come first */
	seekers = palloc(shard_count * sizeof(Seeker));
	for (int i = 0; i < shard_count; i++)
	{
		Member	   *owner = find_member(members, member_count, owners[i]);
		uint64		point;

		if (owner != NULL && owner->load <= owner->share)
			continue;
		point = hash_bytes_uint32_extended(i, SHARD_SEED);
		seekers[seeker_count].shard = i;
		seekers[seeker_count].distance = owner == NULL || ring.count == 0 ? 0 :
			find_room(&ring, point)->point - point;
		seeker_count++;
	}
	qsort(seekers, seeker_count, sizeof(Seeker), compare_seekers);

	for (int i = 0; i < seeker_count; i++)
	{
		int			shard = seekers[i].shard;
		Member	   *owner = find_member(members, member_count, owners[shard]);
		Member	   *taker;

		CHECK_FOR_INTERRUPTS();
		if (owner != NULL && owner->load <= owner->share)
			continue;
		taker = find_room(&ring,
						  hash_bytes_uint32_extended(shard,
													 SHARD_SEED))->member;
		if (owner != NULL)
			owner->load--;
		taker->load++;
		owners[shard] = taker->id;
	}
	pfree(seekers);
	pfree(ring.nodes);
}

static void
count_loads(int shard_count, int *owners, Member *members, int member_count)
{
	for (int i = 0; i < member_count; i++)
		members[i].load = 0;
	for (int i = 0; i < shard_count; i++)
	{
		Member	   *owner = find_member(members, member_count, owners[i]);

		if (owner != NULL)
			owner->load++;
	}
}

/*
 * set_shares -- what is left over goes to those that have most already
 */
static void
set_shares(int shard_count, Member *members, int member_count)
{
	int			rest = shard_count % member_count;

	qsort(members, member_count, sizeof(Member), compare_loads);
	for (int i = 0; i < member_count; i++)
		members[i].share = shard_count / member_count + (i < rest ? 1 : 0);
	qsort(members, member_count, sizeof(Member), compare_members);
}

/*
 * make_ring -- virtual nodes of the members that have room
 */
static void
make_ring(Ring *ring, Member *members, int member_count)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	int			each = VDB_DEFAULT_VIRTUAL_NODES;

	if (cluster != NULL)
		each = cluster->virtual_nodes;
	ring->count = 0;
	ring->nodes = palloc(member_count * each * sizeof(VirtualNode));
	for (int i = 0; i < member_count; i++)
	{
		if (members[i].load >= members[i].share)
			continue;
		for (int j = 0; j < each; j++)
		{
			VirtualNode *node = &ring->nodes[ring->count++];

			node->point = hash_bytes_uint32_extended(j, members[i].id);
			node->member = &members[i];
		}
	}
	qsort(ring->nodes, ring->count, sizeof(VirtualNode), compare_nodes);
}

/*
 * find_room -- the first virtual node at or after a point whose member has room
 *
 * There is one.
 */
static const VirtualNode *
find_room(const Ring *ring, uint64 point)
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

		if (node->member->load < node->member->share)
			return node;
	}
	elog(ERROR, "no group has room for a shard");
}

/*
 * find_member -- by binary search, as members are sorted by number
 */
static Member *
find_member(Member *members, int count, int id)
{
	Member		key = {0};

	key.id = id;
	return bsearch(&key, members, count, sizeof(Member), compare_members);
}

/*
 * make_members -- the groups, sorted
 */
static Member *
make_members(const int *groups, int group_count)
{
	Member	   *members = palloc0(Max(group_count, 1) * sizeof(Member));

	if (group_count < 1 || group_count > VDB_MAX_GROUPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shards can be spread over 1 to %d groups, not %d",
						VDB_MAX_GROUPS, group_count)));
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
	return members;
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
	const Member *left = a;
	const Member *right = b;

	if (left->load != right->load)
		return right->load - left->load;
	return compare_members(a, b);
}

static int
compare_nodes(const void *a, const void *b)
{
	const VirtualNode *left = a;
	const VirtualNode *right = b;

	if (left->point != right->point)
		return left->point < right->point ? -1 : 1;
	return compare_members(left->member, right->member);
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
