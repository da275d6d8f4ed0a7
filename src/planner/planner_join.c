#include "postgres.h"
#include "planner_private.h"
void planner_join_paths(PlannerInfo *root, RelOptInfo *joinrel,
							   RelOptInfo *outer, RelOptInfo *inner,
							   JoinType type, JoinPathExtraData *extra){}
