#include "postgres.h"
#include "planner_private.h"
void planner_group_paths(PlannerInfo *root, RelOptInfo *input,
								RelOptInfo *output,
								GroupPathExtraData *extra){}
