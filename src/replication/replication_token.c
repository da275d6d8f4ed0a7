/*-------------------------------------------------------------------------
 *
 * replication_token.c
 *	  What a session has committed, so that it reads that at standbys, too.
 *
 * For each group the end of the last commit in the WAL of its primary.  Of the
 * own group this backend knows it; other nodes report that of the sessions
 * which work for others, by a setting that libpq is told of when it changes,
 * so that it costs no message.  A token carries it from one session to
 * another: vecdb.session_token() gives it, vecdb.session_token takes it.
 *
 *		token	group:LSN,group:LSN, ...; the LSN FFFFFFFF/FFFFFFFF says that it
 *				is not known, and then the primary is read at
 *
 * IDENTIFICATION
 *	  src/replication/replication_token.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "replication_private.h"

/* What a token says of a group */
typedef struct TokenGroup
{
	int			group;
	XLogRecPtr	lsn;
} TokenGroup;

typedef struct Token
{
	int			count;
	TokenGroup	groups[FLEXIBLE_ARRAY_MEMBER];
} Token;

static char *token_text;
static Token *token;
static char *commit_lsn_text;

/* End of the last commit of this backend here, and what was reported of it */
static XLogRecPtr own_commit;

static bool check_token(char **value, void **extra, GucSource source);
static void assign_token(const char *value, void *extra);
static bool read_group(const char **text, TokenGroup *group);
static void note_commit(XactEvent event, void *arg);

VDB_FUNCTION(vecdb_session_token);

/* replication_token_init -- define settings, and notice commits */
void
replication_token_init(void)
{
	DefineCustomStringVariable("vecdb.session_token",
							   "Sets what reads at standbys have to show: what vecdb.session_token() returned in another session.",
							   NULL, &token_text, "", PGC_USERSET,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   check_token, assign_token, NULL);
	RegisterXactCallback(note_commit, NULL);
}

/* Is it a token? */
static bool
check_token(char **value, void **extra, GucSource source)
{
	const char *text = *value;
	Token	   *result;
	int			count = 1;

	for (const char *c = text; *c; c++)
		count += *c == ',';
	result = vdb_guc_alloc(offsetof(Token, groups) +
						   sizeof(TokenGroup) * count);
	if (result == NULL)
		return false;
	result->count = 0;
	while (*text)
	{
		if (!read_group(&text, &result->groups[result->count++]) ||
			(*text == ',' && text[1] == '\0'))
		{
			GUC_check_errdetail("It is what vecdb.session_token() returns, such as \"1:0/3000148,2:0/45577C8\".");
			vdb_guc_free(result);
			return false;
		}
		if (*text == ',')
			text	  ++;
	}
	*extra = result;
	return true;
}

/* Read what a token says of one group, and go on to what follows */
static bool
read_group(const char **text, TokenGroup *group)
{
	uint32		high;
	uint32		low;
	int			length = 0;

	if (sscanf(*text, "%d:%8X/%8X%n", &group->group, &high, &low,
			   &length) != 3 || group->group <= 0)
		return false;
	group->lsn = ((uint64) high) << 32 | low;
	*text +=length;
	return **text == ',' || **text == '\0';
}

static void
assign_token(const char *value, void *extra)
{
	token = extra;
}

/*
 * replication_token_get -- what a standby of a group has to have replayed to
 * show what this session has committed
 *
 * InvalidXLogRecPtr: anything will do; PG_UINT64_MAX: that is not known.
 */
XLogRecPtr
replication_token_get(int group)
{
	XLogRecPtr	lsn = vdb_remote_commit_lsn(group);

	if (group == vdb_catalog_cluster()->local_group)
		lsn = Max(lsn, own_commit);
	for (int i = 0; token && i < token->count; i++)
	{
		if (token->groups[i].group == group)
			lsn = Max(lsn, token->groups[i].lsn);
	}
	return lsn;
}

/*
 * A transaction commits here: remember where, and tell the node for which this
 * session works
 *
 * Without a transaction number, too: COMMIT PREPARED has none.
 */
static void
note_commit(XactEvent event, void *arg)
{
	char text[	32];

	if (event != XACT_EVENT_COMMIT || XactLastCommitEnd == own_commit ||
		MyBackendType != B_BACKEND)
		return;
	own_commit = XactLastCommitEnd;
	if (!vdb_catalog_local_mode())
		return;
	/* other sessions have no such setting to report */
	if (commit_lsn_text == NULL)
		DefineCustomStringVariable("vecdb.commit_lsn",
								   "Shows to another node where the last commit of this session ends in the WAL.",
								   NULL, &commit_lsn_text, "", PGC_INTERNAL,
								   GUC_REPORT | GUC_NO_SHOW_ALL |
								   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
								   NULL, NULL, NULL);
	snprintf(text, sizeof(text), "%X/%X", LSN_FORMAT_ARGS(own_commit));
	SetConfigOption("vecdb.commit_lsn", text, PGC_INTERNAL, PGC_S_OVERRIDE);
}

/* vecdb.session_token(): what this session has committed, for another one */
Datum
vecdb_session_token(PG_FUNCTION_ARGS)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; cluster && i < cluster->group_count; i++)
	{
		int			group = cluster->groups[i].id;
		XLogRecPtr	lsn = replication_token_get(group);

		if (lsn != InvalidXLogRecPtr)
			appendStringInfo(&text, "%s%d:%X/%X", text.len > 0 ? "," : "",
							 group, LSN_FORMAT_ARGS(lsn));
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}
