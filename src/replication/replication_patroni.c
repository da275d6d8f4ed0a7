/*-------------------------------------------------------------------------
 *
 * replication_patroni.c
 *	  Requests to Patroni's REST API.
 *
 * libcurl is loaded when the first request is made, so that nobody else needs
 * it or pays for it.  Its headers say what its functions and constants are.
 *
 * A request ends when its deadline has passed or the session is interrupted:
 * libcurl is driven step by step, and waits for a tenth of a second at most.
 * Signals are blocked while it works, as it may start a thread that looks up
 * a name, and PostgreSQL's handlers must not run there.
 *
 * IDENTIFICATION
 *	  src/replication/replication_patroni.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/stat.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"

#include "replication_private.h"

#define ANSWER_SIZE (256 * 1024)
#define POLL_MS 100
#define CONNECT_MS 5000

/* What is used of libcurl */
typedef struct Curl
{
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_setopt) easy_setopt;
	__typeof__(&curl_easy_getinfo) easy_getinfo;
	__typeof__(&curl_easy_strerror) easy_strerror;
	__typeof__(&curl_easy_cleanup) easy_cleanup;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
	__typeof__(&curl_multi_init) multi_init;
	__typeof__(&curl_multi_add_handle) multi_add_handle;
	__typeof__(&curl_multi_remove_handle) multi_remove_handle;
	__typeof__(&curl_multi_perform) multi_perform;
	__typeof__(&curl_multi_wait) multi_wait;
	__typeof__(&curl_multi_info_read) multi_info_read;
	__typeof__(&curl_multi_cleanup) multi_cleanup;
} Curl;

/* What vecdb.patroni_auth's file says; NULL: nothing */
typedef struct PatroniAuth
{
	char	   *username;
	char	   *password;
	char	   *cacert;
	char	   *cert;
	char	   *key;
} PatroniAuth;

/* A request that is under way */
typedef struct PatroniRequest
{
	CURL	   *easy;
	CURLM	   *multi;
	struct curl_slist *headers;
	char		why[CURL_ERROR_SIZE];	/* libcurl's own words */
	char	   *body;			/* of the answer */
	int			length;
} PatroniRequest;

static Curl curl;
static bool curl_is_loaded = false;

static void load_curl(void);
static void *find_symbol(void *library, const char *name);
static PatroniAuth *read_auth(void);
static void read_auth_line(PatroniAuth *auth, char *line, int number);
static void set_options(PatroniRequest *request, const char *url,
						const char *method, const char *body, long timeout_ms);
static void set_auth(PatroniRequest *request, const PatroniAuth *auth);
static size_t take_body(char *data, size_t size, size_t count, void *arg);
static CURLcode run_request(PatroniRequest *request, TimestampTz deadline);
static void look_around(void);
static void end_request(PatroniRequest *request);

/*
 * replication_patroni_ask -- make a request
 *
 * "body" may be NULL.  An ERROR if there is no answer; one that refuses is an
 * answer.
 */
ReplicationAnswer *
replication_patroni_ask(const char *url, const char *method,
						const char *path, const char *body,
						TimestampTz deadline)
{
	ReplicationAnswer *answer = replication_patroni_try(url, method, path,
														body, deadline);

	if (answer->status == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not ask Patroni at \"%s%s\"", url, path),
				 errdetail("%s.", answer->body),
				 errhint("Check that Patroni runs there, and what vecdb.patroni_url of that node and vecdb.patroni_auth of this one say.")));
	return answer;
}

/*
 * replication_patroni_try -- the same; without an answer the status is 0 and
 * the body says why
 */
ReplicationAnswer *
replication_patroni_try(const char *url, const char *method,
						const char *path, const char *body,
						TimestampTz deadline)
{
	PatroniRequest request = {0};
	ReplicationAnswer *answer = palloc0(sizeof(ReplicationAnswer));
	char	   *whole = psprintf("%s%s", url, path);
	PatroniAuth *auth = read_auth();
	CURLcode	code = CURLE_OK;

	load_curl();
	request.body = palloc(ANSWER_SIZE);
	PG_TRY();
	{
		request.easy = curl.easy_init();
		request.multi = curl.multi_init();
		if (request.easy == NULL || request.multi == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		set_options(&request, whole, method, body,
					TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													deadline));
		set_auth(&request, auth);
		code = run_request(&request, deadline);
		curl.easy_getinfo(request.easy, CURLINFO_RESPONSE_CODE,
						  &answer->status);
	}
	PG_FINALLY();
	{
		end_request(&request);
	}
	PG_END_TRY();

	if (code != CURLE_OK)
	{
		answer->status = 0;
		answer->body = pstrdup(request.why[0] ? request.why :
							   curl.easy_strerror(code));
	}
	else
		answer->body = pnstrdup(request.body, request.length);
	pfree(request.body);
	return answer;
}

/*
 * replication_patroni_text -- a value of an answer, as text
 *
 * That of "key", or of "subkey" of the object that is there.  NULL if there is
 * none.  An ERROR if the answer is not JSON.
 */
char *
replication_patroni_text(ReplicationAnswer *answer, const char *key,
						 const char *subkey)
{
	JsonbContainer *container;
	JsonbValue *value;

	if (answer->json == NULL)
		answer->json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														  CStringGetDatum(answer->body)));
	container = &answer->json->root;
	if (!JsonContainerIsObject(container))
		return NULL;
	value = getKeyJsonValueFromContainer(container, key, strlen(key), NULL);
	if (value && subkey)
	{
		if (value->type != jbvBinary ||
			!JsonContainerIsObject(value->val.binary.data))
			return NULL;
		value = getKeyJsonValueFromContainer(value->val.binary.data, subkey,
											 strlen(subkey), NULL);
	}
	if (value == NULL)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type == jbvBool)
		return pstrdup(value->val.boolean ? "true" : "false");
	return NULL;
}

/* Load libcurl, once a session */
static void
load_curl(void)
{
	void	   *library;

	if (curl_is_loaded)
		return;
	library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("could not load libcurl, which speaks to Patroni"),
				 errdetail_internal("%s", dlerror()),
				 errhint("Install it; Debian's package is called libcurl4.")));
	curl.global_init = find_symbol(library, "curl_global_init");
	curl.easy_init = find_symbol(library, "curl_easy_init");
	curl.easy_setopt = find_symbol(library, "curl_easy_setopt");
	curl.easy_getinfo = find_symbol(library, "curl_easy_getinfo");
	curl.easy_strerror = find_symbol(library, "curl_easy_strerror");
	curl.easy_cleanup = find_symbol(library, "curl_easy_cleanup");
	curl.slist_append = find_symbol(library, "curl_slist_append");
	curl.slist_free_all = find_symbol(library, "curl_slist_free_all");
	curl.multi_init = find_symbol(library, "curl_multi_init");
	curl.multi_add_handle = find_symbol(library, "curl_multi_add_handle");
	curl.multi_remove_handle = find_symbol(library, "curl_multi_remove_handle");
	curl.multi_perform = find_symbol(library, "curl_multi_perform");
	curl.multi_wait = find_symbol(library, "curl_multi_wait");
	curl.multi_info_read = find_symbol(library, "curl_multi_info_read");
	curl.multi_cleanup = find_symbol(library, "curl_multi_cleanup");
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not initialize libcurl")));
	curl_is_loaded = true;
}

static void *
find_symbol(void *library, const char *name)
{
	void	   *symbol = dlsym(library, name);

	if (symbol == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("libcurl has no function \"%s\"", name),
				 errhint("Install version 7.28 or newer.")));
	return symbol;
}

/* Read the file that vecdb.patroni_auth names, which nobody else may read */
static PatroniAuth *
read_auth(void)
{
	PatroniAuth *auth = palloc0(sizeof(PatroniAuth));
	const char *path = replication_patroni_auth;
	char		line[1024];
	int			number = 0;
	struct stat status;
	FILE	   *file;

	if (path == NULL || path[0] == '\0')
		return auth;
	file = AllocateFile(path, "r");
	if (file == NULL || fstat(fileno(file), &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 errhint("The setting vecdb.patroni_auth names it.")));
	if (status.st_mode & (S_IRWXG | S_IRWXO))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("file \"%s\" has group or world access", path),
				 errhint("The setting vecdb.patroni_auth names it; its permissions should be u=rw (0600) or less.")));
	while (fgets(line, sizeof(line), file) != NULL)
		read_auth_line(auth, line, ++number);
	FreeFile(file);
	return auth;
}

/* "name = value", a comment, or nothing */
static void
read_auth_line(PatroniAuth *auth, char *line, int number)
{
	static const char *const names[] = {
		"username", "password", "cacert", "cert", "key"
	};
	char	  **values[] = {
		&auth->username, &auth->password, &auth->cacert, &auth->cert, &auth->key
	};
	char	   *name = line + strspn(line, " \t");
	char	   *equals = strchr(name, '=');
	char	   *end = name + strcspn(name, " \t=\r\n");

	if (*name == '#' || *name == '\0' || *name == '\n' || *name == '\r')
		return;
	for (int i = 0; equals && i < lengthof(names); i++)
	{
		char	   *value = equals + 1 + strspn(equals + 1, " \t");

		if (end - name != strlen(names[i]) ||
			strncmp(name, names[i], end - name) != 0)
			continue;
		*values[i] = pnstrdup(value, strcspn(value, "\r\n"));
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("line %d of file \"%s\" is not understood", number,
					replication_patroni_auth),
			 errdetail("Lines are of the form name = value; names are username, password, cacert, cert and key.")));
}

/* Say what to ask */
static void
set_options(PatroniRequest *request, const char *url, const char *method,
			const char *body, long timeout_ms)
{
	CURL	   *easy = request->easy;

	curl.easy_setopt(easy, CURLOPT_URL, url);
	curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, Max(timeout_ms, 1L));
	curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_MS);
	curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, request->why);
	curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl.easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl.easy_setopt(easy, CURLOPT_USERAGENT, "vecdb/" VDB_VERSION);
	/* whatever the server's environment says of proxies */
	curl.easy_setopt(easy, CURLOPT_PROXY, "");
	if (body)
	{
		request->headers = curl.slist_append(NULL,
											 "Content-Type: application/json");
		curl.easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
		curl.easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	}
}

/* Say who asks, and whom to believe */
static void
set_auth(PatroniRequest *request, const PatroniAuth *auth)
{
	CURL	   *easy = request->easy;

	if (auth->username)
	{
		curl.easy_setopt(easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
		curl.easy_setopt(easy, CURLOPT_USERNAME, auth->username);
		curl.easy_setopt(easy, CURLOPT_PASSWORD,
						 auth->password ? auth->password : "");
	}
	if (auth->cacert)
		curl.easy_setopt(easy, CURLOPT_CAINFO, auth->cacert);
	if (auth->cert)
		curl.easy_setopt(easy, CURLOPT_SSLCERT, auth->cert);
	if (auth->key)
		curl.easy_setopt(easy, CURLOPT_SSLKEY, auth->key);
}

/* libcurl has read a part of the answer; must not raise an ERROR */
static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
	PatroniRequest *request = arg;
	size_t		length = size * count;

	if (length > (size_t) (ANSWER_SIZE - request->length))
		return 0;
	memcpy(request->body + request->length, data, length);
	request->length += length;
	return length;
}

/* Let it run to its end, which libcurl's own time-out is, too */
static CURLcode
run_request(PatroniRequest *request, TimestampTz deadline)
{
	int			running = 1;
	CURLMsg    *message;

	if (curl.multi_add_handle(request->multi, request->easy) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;
	while (running > 0)
	{
		sigset_t	all;
		sigset_t	before;
		CURLMcode	code;

		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, &before);
		code = curl.multi_perform(request->multi, &running);
		sigprocmask(SIG_SETMASK, &before, NULL);
		if (code != CURLM_OK)
			return CURLE_FAILED_INIT;
		if (running > 0 && GetCurrentTimestamp() >= deadline)
		{
			strlcpy(request->why, "There was no answer in time",
					CURL_ERROR_SIZE);
			return CURLE_OPERATION_TIMEDOUT;
		}
		if (running > 0)
			(void) curl.multi_wait(request->multi, NULL, 0, POLL_MS, NULL);
		look_around();
	}
	message = curl.multi_info_read(request->multi, &running);
	return message ? message->data.result : CURLE_RECV_ERROR;
}

/* Interrupts, and the end of the postmaster */
static void
look_around(void)
{
	if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 0,
				  PG_WAIT_EXTENSION) & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Give back what libcurl holds */
static void
end_request(PatroniRequest *request)
{
	if (request->multi && request->easy)
		curl.multi_remove_handle(request->multi, request->easy);
	if (request->easy)
		curl.easy_cleanup(request->easy);
	if (request->multi)
		curl.multi_cleanup(request->multi);
	if (request->headers)
		curl.slist_free_all(request->headers);
}
