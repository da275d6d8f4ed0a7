# Can what a user brings along, executed at another group, become the superuser
# that nodes log in as?

use strict;
use warnings;

use lib 'test/perl';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VecdbCluster;

my $cluster = VecdbCluster->new('role', groups => 2, conf => q{
	log_parameter_max_length_on_error = -1
	min_parallel_table_scan_size = 0
	parallel_setup_cost = 0
	parallel_tuple_cost = 0
})->start;

$cluster->query(1, q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob;
	GRANT bob TO alice;
	CREATE SCHEMA alice AUTHORIZATION alice;
	CREATE TABLE secret (id int PRIMARY KEY, v text);
	SELECT vecdb.distribute_table('secret');
	INSERT INTO secret SELECT i, 'secret' FROM generate_series(1, 20) i;
});

sub alice
{
	my ($sql, %params) = @_;
	my ($out, $err) = ('', '');
	$cluster->node(1)->psql('postgres', "\\set VERBOSITY verbose\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 0,
		extra_params => [ '-U', 'alice' ], %params);
	return ($out, $err);
}

# who has become what is in what is printed or in alice.seen, at each group;
# "is_superuser" would say so as well, but is of the client
my ($out, $err) = alice(q{
	SET search_path = alice;
	CREATE TABLE t (id int PRIMARY KEY, v text);
	SELECT vecdb.distribute_table('alice.t');
	INSERT INTO t SELECT i, 'x' FROM generate_series(1, 60) i;
	CREATE FUNCTION rolsuper() RETURNS text LANGUAGE sql STABLE AS
		$$SELECT CASE WHEN rolsuper THEN 'SUPER' ELSE rolname::text END FROM pg_roles WHERE rolname = current_user$$;

	CREATE FUNCTION set_role() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN SET ROLE none; RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION set_local_role() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN SET LOCAL ROLE none; RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION reset_role() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN RESET ROLE; RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION set_config_none() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN PERFORM set_config('role', 'none', false); RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION set_config_null() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN PERFORM set_config('role', NULL, false); RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION update_settings() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN UPDATE pg_settings SET setting = 'none' WHERE name = 'role';
		PERFORM set_config('ROLE', 'none', true); RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION authorization_default() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN SET SESSION AUTHORIZATION DEFAULT; RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION reset_authorization() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN RESET SESSION AUTHORIZATION; RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION authorization_session() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN EXECUTE format('SET SESSION AUTHORIZATION %I', session_user); RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION caught() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN
			BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
			BEGIN SET ROLE none; EXCEPTION WHEN OTHERS THEN NULL; END;
			RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION own_key() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN PERFORM vecdb.guard_session(repeat('00', 16)); RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION guess() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN PERFORM vecdb.take_settings('', '9 ' || repeat('00', 32)); RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION of_this_session() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN PERFORM set_config('vecdb.internal', 'off', false); SET ROLE none; RETURN alice.rolsuper(); END$$;
	CREATE FUNCTION dealloc() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 'SUPER?'; END$$;
	CREATE FUNCTION clause() RETURNS text LANGUAGE plpgsql AS
		$$BEGIN RETURN alice.rolsuper(); END$$;
	ALTER FUNCTION clause() SET role = none;
	CREATE FUNCTION session() RETURNS text LANGUAGE sql AS $$SELECT session_user::text$$;
	CREATE FUNCTION query() RETURNS text LANGUAGE sql AS $$SELECT current_query()$$;

	-- one that says that it can be executed anywhere
	CREATE FUNCTION call(name text, id int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
		$$DECLARE answer text; BEGIN EXECUTE format('SELECT alice.%I()', name) INTO answer; RETURN answer; END$$;
});
unlike($err, qr/ERROR/, 'a user makes tables and functions');

my $home = $cluster->query_own(1, 'SELECT id FROM alice.t ORDER BY 1 LIMIT 1');
my $away = $cluster->query_own(2, 'SELECT id FROM alice.t ORDER BY 1 LIMIT 1');
my $denied = qr/42501: (cannot (re)?set parameter "(role|session_authorization)"|cannot execute DEALLOCATE|permission denied)/;

# --- functions in a statement that another group executes ---

($out, $err) = alice("SELECT alice.call('rolsuper', id) FROM alice.t WHERE id = $away");
is($out, 'alice', 'a routed statement is the user\'s');
($out, $err) = alice("SELECT alice.call('session', id) FROM alice.t WHERE id = $away");
isnt($out, 'alice', 'and is executed in a session that is not');
foreach my $function (qw(set_role set_local_role reset_role set_config_none
	set_config_null update_settings authorization_default reset_authorization
	authorization_session own_key guess of_this_session dealloc clause))
{
	($out, $err) = alice("SELECT alice.call('$function', id) FROM alice.t WHERE id = $away");
	unlike($out, qr/SUPER/, "$function, routed");
	like($err, $function eq 'of_this_session' ? qr/55P02: parameter "vecdb.internal" cannot be set/ : $denied,
		"$function is refused");
	($out, $err) = alice("SELECT id FROM alice.t WHERE alice.call('$function', id) = 'SUPER'; SELECT alice.call('rolsuper', id) FROM alice.t WHERE id = $away");
	is($out, 'alice', "$function, in a filter of all groups");
}
($out, $err) = alice("UPDATE alice.t SET v = 'x' WHERE id = $away RETURNING set_config('role', 'none', false); SELECT alice.call('rolsuper', id) FROM alice.t WHERE id = $away");
is($out, 'alice', 'set_config() in the statement');
like($err, $denied, 'is refused');
($out, $err) = alice("SELECT alice.call('caught', id) FROM alice.t WHERE id = $away; SELECT alice.call('rolsuper', id) FROM alice.t WHERE id = $away");
is($out, "alice\nalice", 'errors that are caught');
($out, $err) = alice("SET ROLE bob; SELECT current_user; RESET ROLE; SELECT alice.call('rolsuper', id) FROM alice.t WHERE id = $away");
is($out, "bob\nalice", 'at home the user takes roles as ever');
($out, $err) = alice("SET check_function_bodies = off; CREATE FUNCTION alice.clause(int) RETURNS int LANGUAGE sql SET role = none AS 'SELECT 1'");
is($err, '', 'a function with such a clause can be made');

# what the session shows of itself
($out, $err) = alice("SELECT alice.call('query', id) FROM alice.t WHERE id = $away");
like($out, qr/^SELECT.*alice\.call/, 'the present query');
unlike($out, qr/take_settings|guard_session/, 'is not that before');

# --- what is sent behind something that fails later ---

# In a new session the flight that takes the role is a transaction of its own,
# and is rolled back with the read that fails.
alice(q{
	CREATE FUNCTION alice.fail_late(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
		$$BEGIN IF i = 20000 THEN PERFORM pg_sleep(2); RAISE 'late'; END IF; RETURN i; END$$;
	CREATE TABLE alice.seen (id int PRIMARY KEY, v text);
	SELECT vecdb.distribute_table('alice.seen', colocate_with => 'alice.t');
	INSERT INTO alice.seen SELECT id FROM alice.t;});
foreach my $late (qq{OPEN b NO SCROLL FOR SELECT alice.call('rolsuper', id) FROM alice.t WHERE id = $away;
		FETCH b INTO answer; RAISE WARNING 'second is %', answer;},
	qq{UPDATE alice.seen SET v = alice.call('rolsuper', id) WHERE id = $away RETURNING v INTO answer;
		RAISE WARNING 'second is %', answer;})
{
	($out, $err) = alice(qq{DO \$\$
		DECLARE a refcursor; b refcursor; i int; answer text;
		BEGIN
			OPEN a NO SCROLL FOR SELECT alice.fail_late(g) FROM alice.t, generate_series(1, 20000) g WHERE id = $away;
			FETCH a INTO i;
			RAISE WARNING 'first has %', i;
			$late
			MOVE 30000 IN a;
		END \$\$});
	like($err, qr/first has 1\n/, 'a read that fails late delivers rows');
	like($err, qr/P0001: late/, 'and fails');
	like($err, qr/second is alice\n/, 'what was sent behind it is the user\'s');
	unlike($err, qr/SUPER/, 'and not that of who has logged in');
}

# --- what is executed by writes, and at the end of the transaction ---

$cluster->query(1, q{CREATE TABLE alice.log (id int PRIMARY KEY, who text);
	ALTER TABLE alice.log OWNER TO alice; SELECT vecdb.distribute_table('alice.log')});
foreach my $how ('PERFORM set_config(\'role\', \'none\', false)', 'RESET ROLE',
	'SET SESSION AUTHORIZATION DEFAULT')
{
	alice(qq{
		CREATE OR REPLACE FUNCTION alice.trigger() RETURNS trigger LANGUAGE plpgsql AS
			\$\$DECLARE i int; BEGIN $how; i := 1; i := i + 1;
			RAISE WARNING 'trigger is %', alice.rolsuper(); RETURN NEW; END\$\$;
		DROP TABLE IF EXISTS alice.early, alice.late;
		CREATE TABLE alice.early (id int PRIMARY KEY);
		CREATE TABLE alice.late (id int PRIMARY KEY);
		SELECT vecdb.distribute_table('alice.early', colocate_with => 'alice.t');
		SELECT vecdb.distribute_table('alice.late', colocate_with => 'alice.t');
		CREATE TRIGGER early BEFORE INSERT ON alice.early FOR EACH ROW EXECUTE FUNCTION alice.trigger();
		CREATE CONSTRAINT TRIGGER late AFTER INSERT ON alice.late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION alice.trigger();
	});
	foreach my $statement ("INSERT INTO alice.early VALUES ($away)",
		"COPY alice.early FROM STDIN;\n$away\n\\.\n",
		"INSERT INTO alice.late VALUES ($away)",
		"BEGIN; INSERT INTO alice.late VALUES ($away); INSERT INTO alice.t VALUES (1000), (1001), (1002), (1003); COMMIT")
	{
		($out, $err) = alice($statement);
		unlike($err, qr/trigger is SUPER/, "$how in a trigger: $statement");
		like($err, $denied, 'is refused');
	}
}

# --- another's rights are not those of the end of the transaction ---

$cluster->query(1, q{
	CREATE VIEW public.shown AS SELECT * FROM secret;
	GRANT SELECT ON public.shown TO PUBLIC;});
alice(q{
	CREATE OR REPLACE FUNCTION alice.trigger() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN RAISE WARNING 'trigger is %', alice.rolsuper(); RETURN NEW; END$$;});
my $hidden = $cluster->query_own(2, 'SELECT id FROM secret ORDER BY 1 LIMIT 1');
foreach my $more ('', 'INSERT INTO alice.t VALUES (2000), (2001), (2002), (2003);')
{
	($out, $err) = alice(qq{BEGIN; INSERT INTO alice.late VALUES ($away); $more
		SELECT v FROM public.shown WHERE id = $hidden; SELECT count(*) FROM public.shown;
		COMMIT; DELETE FROM alice.late});
	is($out, "secret\n20", 'a view of another\'s table can be read');
	like($err, qr/trigger is alice/, 'and triggers at COMMIT are the user\'s');
	unlike($err, qr/SUPER/, 'and not its owner\'s');
}
alice(q{CREATE FUNCTION alice.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
	$$BEGIN RAISE WARNING 'leak is %', alice.rolsuper(); RETURN true; END$$});
($out, $err) = alice("SELECT v FROM public.shown WHERE id = $hidden AND alice.leak(v); SELECT count(*) FROM public.shown WHERE alice.leak(v)");
like($err, qr/leak is alice/, 'a function beside a view');
unlike($err, qr/leak is SUPER/, 'is the user\'s');

# --- parallel workers there ---

alice(q{
	CREATE FUNCTION alice.worker(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 100000 AS
		$$BEGIN RAISE WARNING 'worker is %', alice.rolsuper(); RETURN true; END$$;
	ALTER FUNCTION alice.worker(int) SET role = none;
	CREATE FUNCTION alice.worker_clear(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 100000 AS
		$$BEGIN RETURN alice.rolsuper() = 'alice'; END$$;
	ALTER FUNCTION alice.rolsuper() PARALLEL SAFE;});
foreach my $node (map { $cluster->node($_) } $cluster->groups)
{
	my $name = $node->safe_psql('postgres', "SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
	$node->append_conf('postgresql.conf', "$name = on\n");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$name') = 'on'") or die 'the setting is not there';
}
($out, $err) = alice("SELECT count(*) FROM alice.t WHERE alice.worker_clear(id) AND v = 'x'");
is($out, 60, 'parallel workers work as the user');
($out, $err) = alice("SELECT count(*) FROM alice.t WHERE alice.worker(id)");
unlike($err, qr/worker is SUPER/, 'a function with a clause in a parallel worker');
like($err, $denied, 'is refused');

# --- operators of users are none of what nodes do themselves ---

# The query for deadlocks multiplies a numeric by an integer, for which this
# one fits better than any of PostgreSQL's.
foreach my $group ($cluster->groups)
{
	$cluster->query_own($group, q{GRANT CREATE ON SCHEMA public TO alice; SET ROLE alice;
		CREATE FUNCTION public.times(numeric, int) RETURNS numeric LANGUAGE plpgsql AS
			$$BEGIN RAISE LOG 'operator is %', alice.rolsuper(); RETURN 1; END$$;
		CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = int, FUNCTION = public.times);});
}
my @logs = map { -s $cluster->node($_)->logfile } $cluster->groups;
my @sessions = map { $cluster->node(1)->background_psql('postgres') } 1 .. 2;
$sessions[0]->query_safe("BEGIN; UPDATE secret SET v = v WHERE id = $hidden");
$sessions[1]->query_until(qr/^go$/m, "\\echo go\nUPDATE secret SET v = v WHERE id = $hidden;\n");
my $asked = q{SELECT coalesce(max(query_start), '-infinity') FROM pg_stat_activity
	WHERE application_name ~ '^vecdb 2:' AND query ~ 'local_lock_waits'};
# more than once, as a round asks its own group, which is 2, at the end
foreach (1 .. 3)
{
	my $last = $cluster->query(1, $asked);
	$cluster->node(1)->poll_query_until('postgres', "SELECT ($asked) > '$last'")
		or die 'nobody looks for deadlocks';
}
is($cluster->query(1, 'SELECT count(*) > 0 FROM vecdb.lock_waits'), 't', 'a wait is seen');
$sessions[0]->query_safe('ROLLBACK');
$_->quit foreach @sessions;
foreach my $group ($cluster->groups)
{
	unlike(substr(slurp_file($cluster->node($group)->logfile), $logs[$group - 1]),
		qr/operator is/, "an operator of a user is not called by group $group");
}
is($cluster->query(1, q{SELECT 1.0 * 2}), '1', 'but by who has it in his path');
$cluster->query_own($_, 'DROP OPERATOR public.* (numeric, int)') foreach $cluster->groups;

# SQL for a group runs with the path of who has sent it, in both ways
foreach my $in_transaction ('true', 'false')
{
	is($cluster->query(1, qq{SET search_path = alice, public;
		SELECT vecdb.run_on_group(2, 'SELECT current_schemas(false)', $in_transaction)}),
		'{alice,public}', "the path of SQL for a group ($in_transaction)");
}

# --- what nodes do themselves goes on ---

$cluster->query(1, q{
	SELECT vecdb.run_on_group(2, 'SELECT 1');
	SELECT vecdb.run_on_group(2, 'SELECT 1', false);});
is($cluster->query(1, q{SET ROLE alice; SELECT id > 0 FROM alice.t WHERE id = } . $away . q{; RESET ROLE;
	SELECT vecdb.run_on_group(2, 'SELECT current_user = session_user', false);}), "t\nt",
	'outside of the transaction nodes are themselves');
is($cluster->query(1, qq{BEGIN; SET LOCAL ROLE alice; SELECT alice.rolsuper() FROM alice.t WHERE id = $away; ROLLBACK;
	SELECT vecdb.run_on_group(2, 'SELECT current_user = session_user', false);}), "alice\nt",
	'also after what was rolled back');
($out, $err) = alice('CREATE INDEX CONCURRENTLY later ON alice.t (v); REINDEX TABLE CONCURRENTLY alice.t; VACUUM alice.t');
is($err, '', 'statements outside of transactions');

# sessions of administrators that are internal are their own
{
	local $ENV{PGOPTIONS} = '-c vecdb.internal=on';
	is($cluster->query(2, 'SET ROLE alice; SELECT current_user; RESET ROLE; SELECT current_user = session_user'),
		"alice\nt", 'an administrator sets roles on one node');
	(undef, undef, $err) = $cluster->try(2, q{SELECT vecdb.take_settings('', '1 00')});
	like($err, qr/permission denied to take settings/, 'which is no session of another node');
}

# --- connections are closed in order ---

# what is logged with this level only, on a socket that nothing is lost on
$cluster->node(2)->append_conf('postgresql.conf', "log_min_messages = debug1\n");
$cluster->node(2)->reload;
$cluster->node(2)->poll_query_until('postgres', q{SELECT current_setting('log_min_messages') = 'debug1'})
	or die 'the setting is not there';
my $from = -s $cluster->node(2)->logfile;
alice("SELECT count(*) FROM alice.t; SELECT pg_sleep(0.2)");
alice("BEGIN; INSERT INTO alice.t VALUES ($away + 100000); SELECT count(*) FROM alice.t");
sleep 1;
unlike(substr(slurp_file($cluster->node(2)->logfile), $from),
	qr/Connection reset by peer|unexpected EOF/, 'nodes take their leave');
like(substr(slurp_file($cluster->node(2)->logfile), $from), qr/DEBUG/, 'which would be in the log');
is(join("\n", $cluster->crashes), '', 'nothing has crashed');

$cluster->stop;
done_testing();
