--
-- install: the extension is there under its own name, in its own version
--
SELECT extname, extversion, extrelocatable FROM pg_extension WHERE extname = 'vecdb';
SELECT name, default_version FROM pg_available_extensions
	WHERE name IN ('vecdb', 'vector') ORDER BY name;
