/*-------------------------------------------------------------------------
 *
 * hnsw_write.c
 *	  Writing the graph from memory into the pages of the index.
 *
 * First every record is given its place, so that references can be written;
 * then the pages are filled in the order of their numbers: records of upper
 * layers, which every search reads, close together; records of layer 0 in
 * the order of insertion; then body pages; then TID containers.
 *
 * Nothing is logged here: the build logs the finished index as a whole.
 *
 * IDENTIFICATION
 *	  src/hnsw/hnsw_write.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "hnsw_graph.h"

/* Pages being filled, one after the other */
typedef struct PageWriter
{
	HnswGraph  *graph;
	BlockNumber blkno;			/* number of the page being filled */
	PGAlignedBlock page;
	char	   *body;			/* value and codes of one record */
	Size		body_space;
	uint32		containers;		/* met so far */
	BlockNumber first_container;	/* page of the first one */
} PageWriter;

/* Putting vertices in order; arrays have an element for each of them */
typedef struct VertexOrder
{
	HnswGraph  *graph;
	HnswPlace  *inserted;		/* all, in the order of insertion */
	uint32		inserted_count;
	HnswPlace  *waiting;		/* neighbours for which a page had no room */
	uint32		waiting_count;
	bool	   *has_place;		/* by number of vertex */
	bool	   *waits;			/* likewise: is or was among "waiting" */
} VertexOrder;

/* Handles one record; what a pass over all records does */
typedef void (*RecordAction) (PageWriter *writer, HnswVertex *vertex,
							  int layer);

static void order_vertices(HnswGraph *graph);
static void fill_page(VertexOrder *order, HnswPlace place);
static void append_vertex(VertexOrder *order, HnswPlace place);
static int	compare_edges(const void *a, const void *b);
static void for_all_records(PageWriter *writer, RecordAction action);
static void place_record(PageWriter *writer, HnswVertex *vertex, int layer);
static void place_body(PageWriter *writer, HnswVertex *vertex, int layer);
static void write_record(PageWriter *writer, HnswVertex *vertex, int layer);
static void write_body(PageWriter *writer, HnswVertex *vertex, int layer);
static void write_rows(PageWriter *writer, HnswVertex *vertex, int layer);
static void form_body(PageWriter *writer, HnswVertex *vertex, int layer,
					  VdbHnswFactors *factors);
static void set_rows(PageWriter *writer, HnswVertex *vertex,
					 VdbHnswRecordData *head);
static VdbHnswRef container_ref(PageWriter *writer, uint32 number);
static void begin_page(PageWriter *writer, uint16 kind);
static void end_page(PageWriter *writer);
static void write_meta(PageWriter *writer);

#define CONTAINERS_PER_PAGE \
	(VDB_HNSW_PAGE_SPACE / (VDB_HNSW_CONTAINER_SIZE + sizeof(ItemIdData)))

static inline HnswVertex *
vertex_at(const HnswGraph *graph, HnswPlace place)
{
	return (HnswVertex *) hnsw_graph_at(graph, place);
}

/* What hnsw_record_size() says of a vertex's record */
static Size
record_size(PageWriter *writer, HnswVertex *vertex, int layer,
			int *body_pages)
{
	HnswIndex  *index = writer->graph->index;

	return hnsw_record_size(index, hnsw_layer_capacity(index, layer),
							vertex->value_size, body_pages);
}

/*
 * hnsw_graph_write -- write the graph to the pages of its index
 *
 * The index has a metapage and nothing else.  No other process inserts.
 */
void
hnsw_graph_write(HnswGraph *graph)
{
	PageWriter *writer = palloc0(sizeof(PageWriter));

	if (graph->head->count == 0)
		return;

	writer->graph = graph;
	hnsw_graph_connect(graph);
	order_vertices(graph);

	/* Give places: records, then bodies; TID pages come after them */
	writer->blkno = VDB_HNSW_METAPAGE + 1;
	hnsw_page_init(writer->page.data, VDB_HNSW_PAGE_VERTEX);
	for_all_records(writer, place_record);
	writer->blkno++;
	for_all_records(writer, place_body);
	writer->first_container = writer->blkno;

	/* Write in the same order */
	writer->blkno = VDB_HNSW_METAPAGE + 1;
	begin_page(writer, VDB_HNSW_PAGE_VERTEX);
	for_all_records(writer, write_record);
	end_page(writer);
	for_all_records(writer, write_body);
	if (writer->containers > 0)
	{
		writer->containers = 0;
		begin_page(writer, VDB_HNSW_PAGE_TIDS);
		for_all_records(writer, write_rows);
		end_page(writer);
	}
	write_meta(writer);
	pfree(writer);
}

/*
 * Put vertices in an order in which neighbours share pages
 *
 * A vertex and then those of its neighbours that have no place yet, nearest
 * first, as many as fit on a page; the others begin pages of their own later.
 * So a search reads fewer pages from the disk than it looks at records.
 */
static void
order_vertices(HnswGraph *graph)
{
	HnswGraphHead *head = graph->head;
	VertexOrder order = {0};

	order.graph = graph;
	order.has_place = MemoryContextAllocExtended(CurrentMemoryContext,
												 head->count,
												 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	order.waits = MemoryContextAllocExtended(CurrentMemoryContext,
											 head->count,
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	order.waiting = MemoryContextAllocHuge(CurrentMemoryContext,
										   sizeof(HnswPlace) * (Size) head->count);
	order.inserted = MemoryContextAllocHuge(CurrentMemoryContext,
											sizeof(HnswPlace) * (Size) head->count);
	for (HnswPlace place = head->first; place != 0;
		 place = vertex_at(graph, place)->next)
		order.inserted[order.inserted_count++] = place;

	head->first = head->last = 0;
	for (uint32 i = 0; i < order.inserted_count; i++)
	{
		uint32		next = order.waiting_count;

		fill_page(&order, order.inserted[i]);
		for (; next < order.waiting_count; next++)
			fill_page(&order, order.waiting[next]);
	}

	pfree(order.has_place);
	pfree(order.waits);
	pfree(order.waiting);
	pfree(order.inserted);
}

/* A page that begins with a vertex, unless that has a place already */
static void
fill_page(VertexOrder *order, HnswPlace place)
{
	HnswGraph  *graph = order->graph;
	HnswVertex *vertex = vertex_at(graph, place);
	HnswEdgeList *list = hnsw_edge_list(graph, vertex, 0);
	HnswEdge	edges[2 * VDB_HNSW_MAX_M];
	int			body_pages;
	int			left;

	CHECK_FOR_INTERRUPTS();
	if (order->has_place[vertex->number])
		return;
	append_vertex(order, place);
	left = VDB_HNSW_PAGE_SPACE /
		(sizeof(ItemIdData) + hnsw_record_size(graph->index,
											   hnsw_layer_capacity(graph->index, 0),
											   vertex->value_size, &body_pages));

	memcpy(edges, list->edges, sizeof(HnswEdge) * list->count);
	qsort(edges, list->count, sizeof(HnswEdge), compare_edges);
	for (int i = 0; i < list->count; i++)
	{
		if (order->has_place[edges[i].number])
			continue;
		if (--left > 0)
			append_vertex(order, edges[i].to);
		else if (!order->waits[edges[i].number])
		{
			order->waits[edges[i].number] = true;
			order->waiting[order->waiting_count++] = edges[i].to;
		}
	}
}

static void
append_vertex(VertexOrder *order, HnswPlace place)
{
	HnswGraphHead *head = order->graph->head;
	HnswVertex *vertex = vertex_at(order->graph, place);

	order->has_place[vertex->number] = true;
	vertex->next = 0;
	if (head->last != 0)
		vertex_at(order->graph, head->last)->next = place;
	else
		head->first = place;
	head->last = place;
}

/* For qsort(): nearest first, and no chance for another order */
static int
compare_edges(const void *a, const void *b)
{
	const HnswEdge *left = a;
	const HnswEdge *right = b;

	if (left->distance != right->distance)
		return left->distance < right->distance ? -1 : 1;
	return left->number < right->number ? -1 : left->number > right->number;
}

/* Do something with each record, those above layer 0 first */
static void
for_all_records(PageWriter *writer, RecordAction action)
{
	HnswGraph  *graph = writer->graph;

	for (HnswPlace place = graph->head->first; place != 0;
		 place = vertex_at(graph, place)->next)
	{
		CHECK_FOR_INTERRUPTS();
		for (int layer = vertex_at(graph, place)->layer; layer > 0; layer--)
			action(writer, vertex_at(graph, place), layer);
	}
	for (HnswPlace place = graph->head->first; place != 0;
		 place = vertex_at(graph, place)->next)
	{
		CHECK_FOR_INTERRUPTS();
		action(writer, vertex_at(graph, place), 0);
	}
}

/*
 * Give a record its place; writer->page is only used to see what fits
 */
static void
place_record(PageWriter *writer, HnswVertex *vertex, int layer)
{
	HnswEdgeList *list = hnsw_edge_list(writer->graph, vertex, layer);
	PageHeader	header = (PageHeader) writer->page.data;
	int			body_pages;
	Size		size = record_size(writer, vertex, layer, &body_pages);

	if (PageGetFreeSpace(writer->page.data) < size)
	{
		hnsw_page_init(writer->page.data, VDB_HNSW_PAGE_VERTEX);
		writer->blkno++;
	}
	header->pd_lower += sizeof(ItemIdData);
	header->pd_upper -= size;
	list->blkno = writer->blkno;
	list->offno = PageGetMaxOffsetNumber(writer->page.data);
}

static void
place_body(PageWriter *writer, HnswVertex *vertex, int layer)
{
	int			body_pages;

	record_size(writer, vertex, layer, &body_pages);
	hnsw_edge_list(writer->graph, vertex, layer)->body_blkno = writer->blkno;
	writer->blkno += body_pages;
}

/* Add a record to the page being filled, or to the next one */
static void
write_record(PageWriter *writer, HnswVertex *vertex, int layer)
{
	HnswGraph  *graph = writer->graph;
	HnswIndex  *index = graph->index;
	HnswEdgeList *list = hnsw_edge_list(graph, vertex, layer);
	int			body_pages;
	Size		size = record_size(writer, vertex, layer, &body_pages);
	VdbHnswRecordData *head = palloc0(size);
	HnswRecord	record = {0};
	OffsetNumber offno;

	head->kind = VDB_HNSW_RECORD_VERTEX;
	head->layer = layer;
	head->generation = 1;
	head->capacity = hnsw_layer_capacity(index, layer);
	head->count = list->count;
	head->body_pages = body_pages;
	head->value_size = vertex->value_size;
	if (layer == 0)
		set_rows(writer, vertex, head);
	else
	{
		HnswEdgeList *below = hnsw_edge_list(graph, vertex, layer - 1);
		HnswEdgeList *bottom = hnsw_edge_list(graph, vertex, 0);

		head->link.blkno = below->blkno;
		head->link.offno = below->offno;
		head->link.generation = 1;
		ItemPointerSet(&head->tids[0], bottom->blkno, bottom->offno);
	}

	hnsw_record_parts(index, head, &record);
	for (int i = 0; i < body_pages; i++)
		record.body_blknos[i] = list->body_blkno + i;
	for (int i = 0; i < list->count; i++)
	{
		HnswEdgeList *to = hnsw_edge_list(graph,
										  vertex_at(graph, list->edges[i].to),
										  layer);

		record.refs[i].blkno = to->blkno;
		record.refs[i].offno = to->offno;
		record.refs[i].generation = 1;
	}
	if (index->coded)
	{
		for (int i = 0; i < list->count; i++)
			hnsw_set_covered(record.covered, i, list->edges[i].covered);
	}
	form_body(writer, vertex, layer, record.factors);
	if (body_pages == 0)
		memcpy(record.value, writer->body, MAXALIGN(vertex->value_size) +
			   head->capacity * index->code_size);

	if (PageGetFreeSpace(writer->page.data) < size)
	{
		end_page(writer);
		begin_page(writer, VDB_HNSW_PAGE_VERTEX);
	}
	offno = PageAddItem(writer->page.data, (Item) head, size,
						InvalidOffsetNumber, false, false);
	if (offno != list->offno || writer->blkno != list->blkno)
		elog(ERROR, "record of hnsw index \"%s\" is not in its place",
			 RelationGetRelationName(index->rel));
	pfree(head);
}

/*
 * Lay out the value and the codes of a record in writer->body
 *
 * Also fills factors[] where there are codes.
 */
static void
form_body(PageWriter *writer, HnswVertex *vertex, int layer,
		  VdbHnswFactors *factors)
{
	HnswGraph  *graph = writer->graph;
	HnswIndex  *index = graph->index;
	HnswEdgeList *list = hnsw_edge_list(graph, vertex, layer);
	Size		value_size = MAXALIGN(vertex->value_size);
	Size		size = value_size +
	hnsw_layer_capacity(index, layer) * index->code_size;
	float	   *base = index->scratch;
	float	   *target = base + index->meta.padded;
	uint8	   *code;

	if (writer->body_space < size)
	{
		if (writer->body != NULL)
			pfree(writer->body);
		writer->body = palloc(size);
		writer->body_space = size;
	}
	memset(writer->body, 0, size);
	memcpy(writer->body, hnsw_vertex_value(vertex), vertex->value_size);
	if (!index->coded)
		return;

	code = (uint8 *) writer->body + value_size;
	hnsw_decode_value(index, hnsw_vertex_value(vertex), base);
	for (int i = 0; i < list->count; i++)
	{
		void	   *to = hnsw_vertex_value(vertex_at(graph, list->edges[i].to));
		float		known = hnsw_known_l2_squared(index,
												  hnsw_vertex_value(vertex), to,
												  list->edges[i].distance);

		hnsw_decode_lead(index, to, known < 0 ? index->meta.padded :
						 index->meta.code_bits, target);
		hnsw_encode_edge(index, base, target, known, &factors[i], code);
		code += index->code_size;
	}
}

/* The heap rows of a vertex that its own record holds, and where others are */
static void
set_rows(PageWriter *writer, HnswVertex *vertex, VdbHnswRecordData *head)
{
	HnswPlace	place = vertex->rows;
	uint32		others = 0;

	head->tids[head->tid_count++] = vertex->tid;
	for (; place != 0 && head->tid_count < VDB_HNSW_INLINE_TIDS;
		 place = ((HnswRow *) hnsw_graph_at(writer->graph, place))->next)
		head->tids[head->tid_count++] =
			((HnswRow *) hnsw_graph_at(writer->graph, place))->tid;
	for (; place != 0;
		 place = ((HnswRow *) hnsw_graph_at(writer->graph, place))->next)
		others++;

	if (others > 0)
	{
		head->link = container_ref(writer, writer->containers);
		writer->containers += (others + VDB_HNSW_CONTAINER_TIDS - 1) /
			VDB_HNSW_CONTAINER_TIDS;
	}
}

/* Where the container of this number is */
static VdbHnswRef
container_ref(PageWriter *writer, uint32 number)
{
	VdbHnswRef	ref;

	ref.blkno = writer->first_container + number / CONTAINERS_PER_PAGE;
	ref.offno = FirstOffsetNumber + number % CONTAINERS_PER_PAGE;
	ref.generation = 1;
	return ref;
}

/* Write the rows that are not in the record itself into containers */
static void
write_rows(PageWriter *writer, HnswVertex *vertex, int layer)
{
	HnswPlace	place = vertex->rows;

	if (layer > 0)
		return;
	for (int i = 1; i < VDB_HNSW_INLINE_TIDS && place != 0; i++)
		place = ((HnswRow *) hnsw_graph_at(writer->graph, place))->next;

	while (place != 0)
	{
		union
		{
			VdbHnswContainerData data;
			char		bytes[VDB_HNSW_CONTAINER_SIZE];
		}			container;

		memset(&container, 0, sizeof(container));
		container.data.kind = VDB_HNSW_RECORD_TIDS;
		container.data.generation = 1;
		container.data.capacity = VDB_HNSW_CONTAINER_TIDS;
		for (; place != 0 && container.data.count < VDB_HNSW_CONTAINER_TIDS;
			 place = ((HnswRow *) hnsw_graph_at(writer->graph, place))->next)
			container.data.tids[container.data.count++] =
				((HnswRow *) hnsw_graph_at(writer->graph, place))->tid;

		writer->containers++;
		if (place != 0)
			container.data.link = container_ref(writer, writer->containers);
		if (PageGetFreeSpace(writer->page.data) < VDB_HNSW_CONTAINER_SIZE)
		{
			end_page(writer);
			begin_page(writer, VDB_HNSW_PAGE_TIDS);
		}
		PageAddItem(writer->page.data, (Item) &container,
					VDB_HNSW_CONTAINER_SIZE, InvalidOffsetNumber, false,
					false);
	}
}

/* Write the body pages of a record */
static void
write_body(PageWriter *writer, HnswVertex *vertex, int layer)
{
	HnswIndex  *index = writer->graph->index;
	int			capacity = hnsw_layer_capacity(index, layer);
	int			body_pages;
	Size		left = MAXALIGN(vertex->value_size) +
	capacity * index->code_size;
	char	   *from;
	VdbHnswFactors *factors;

	record_size(writer, vertex, layer, &body_pages);
	if (body_pages == 0)
		return;

	/* The factors are in the record, and only by-products here */
	factors = palloc(sizeof(VdbHnswFactors) * capacity);
	form_body(writer, vertex, layer, factors);
	pfree(factors);

	from = writer->body;
	while (left > 0)
	{
		Size		here = Min(left, VDB_HNSW_PAGE_SPACE);

		begin_page(writer, VDB_HNSW_PAGE_BODY);
		memcpy(PageGetContents(writer->page.data), from, here);
		((PageHeader) writer->page.data)->pd_lower += here;
		end_page(writer);
		from += here;
		left -= here;
	}
}

/* Start to fill the page of number writer->blkno */
static void
begin_page(PageWriter *writer, uint16 kind)
{
	hnsw_page_init(writer->page.data, kind);
}

/* The page is full: put it into the index */
static void
end_page(PageWriter *writer)
{
	HnswIndex  *index = writer->graph->index;
	HnswChange	change;
	BlockNumber blkno;
	Page		page;

	hnsw_change_begin(&change, index);
	page = hnsw_change_new_page(&change,
								VdbHnswPageGetOpaque(writer->page.data)->kind,
								&blkno);
	if (blkno != writer->blkno)
		elog(ERROR, "hnsw index \"%s\" grew while it was written",
			 RelationGetRelationName(index->rel));
	memcpy(page, writer->page.data, BLCKSZ);
	hnsw_change_finish(&change);
	writer->blkno++;
}

/* Set the entry point, now that it has a place */
static void
write_meta(PageWriter *writer)
{
	HnswGraph  *graph = writer->graph;
	HnswGraphHead *head = graph->head;
	HnswEdgeList *list = hnsw_edge_list(graph, vertex_at(graph, head->entry),
										head->entry_layer);
	HnswChange	change;
	VdbHnswMetaPageData *meta;

	hnsw_change_begin(&change, graph->index);
	meta = VdbHnswPageGetMeta(hnsw_change_page(&change, VDB_HNSW_METAPAGE));
	meta->entry.blkno = list->blkno;
	meta->entry.offno = list->offno;
	meta->entry.generation = 1;
	meta->entry_layer = head->entry_layer;
	if (writer->containers > 0)
		meta->container_page = writer->blkno - 1;
	hnsw_change_finish(&change);
}
