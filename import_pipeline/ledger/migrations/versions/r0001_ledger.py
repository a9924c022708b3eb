"""The ledger: uploads, attempts, batches, events, row errors, and the trigger on transitions."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE imports.transitions (
    from_state text NOT NULL,
    to_state   text NOT NULL,
    why        text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
COMMENT ON TABLE imports.transitions IS 'Written by migrate from ledger/states.py; read by the trigger';

CREATE TABLE imports.uploads (
    upload_id       text COLLATE "C" PRIMARY KEY,
    identity        text COLLATE "C" NOT NULL UNIQUE CHECK (identity ~ '^[0-9a-f]{64}$'),
    short_id        text COLLATE "C" NOT NULL,
    parent          text COLLATE "C" REFERENCES imports.uploads,
    member          text NOT NULL DEFAULT '',
    workspace       text COLLATE "C",
    dataset         text COLLATE "C",
    bucket          text NOT NULL,
    key             text NOT NULL,
    etag            text NOT NULL,
    version_id      text,
    size            bigint NOT NULL CHECK (size >= 0),
    last_modified   timestamptz NOT NULL,
    file_name       text NOT NULL,
    human_name      text,
    uploaded_by     text,
    state           text COLLATE "C" NOT NULL CHECK (state IN (
        'detected', 'queued', 'running', 'completed', 'completed_with_rejects', 'checked', 'expanded',
        'duplicate_file', 'refused', 'failed', 'cancelled', 'undone', 'ignored')),
    ignored_reason  text,
    launch_number   integer NOT NULL DEFAULT 1 CHECK (launch_number >= 1),
    token_created   double precision,
    token_run_id    text COLLATE "C",
    run_id          text,
    attempt         text COLLATE "C",
    attempts        integer NOT NULL DEFAULT 0,
    sha256          text COLLATE "C",
    format          text,
    encoding        text,
    delimiter       text,
    options         jsonb NOT NULL DEFAULT '{}',
    fingerprint     text,
    batches         integer CHECK (batches >= 0),
    ignored_lines   bigint CHECK (ignored_lines >= 0),
    details         jsonb NOT NULL DEFAULT '{}',
    read            bigint CHECK (read >= 0),
    inserted        bigint CHECK (inserted >= 0),
    updated         bigint CHECK (updated >= 0),
    unchanged       bigint CHECK (unchanged >= 0),
    duplicate       bigint CHECK (duplicate >= 0),
    rejected        bigint CHECK (rejected >= 0),
    duplicate_of    text COLLATE "C" REFERENCES imports.uploads,
    error_code      text,
    error_message   text,
    error_remedy    text,
    row_errors      bigint CHECK (row_errors >= 0),
    row_errors_cap  bigint CHECK (row_errors_cap >= 0),
    report_prefix   text,
    original_key    text,
    detected_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    queued_at       timestamptz,
    running_at      timestamptz,
    finished_at     timestamptz,
    published_at    timestamptz,
    reported_at     timestamptz,
    undone_at       timestamptz,
    CONSTRAINT counts_balance
        CHECK (read = inserted + updated + unchanged + duplicate + rejected),
    CONSTRAINT counts_complete
        CHECK (state NOT IN ('completed', 'completed_with_rejects', 'checked', 'undone')
               OR num_nulls(read, inserted, updated, unchanged, duplicate, rejected) = 0),
    CONSTRAINT published_when
        CHECK (state NOT IN ('completed', 'completed_with_rejects', 'undone') OR published_at IS NOT NULL),
    CONSTRAINT owner_known
        CHECK (state = 'ignored' OR num_nulls(workspace, dataset) = 0),
    CONSTRAINT reason_given
        CHECK ((state <> 'ignored' OR ignored_reason IS NOT NULL)
               AND (state <> 'duplicate_file' OR duplicate_of IS NOT NULL)
               AND (state NOT IN ('refused', 'failed') OR error_code IS NOT NULL)),
    CONSTRAINT token_whole CHECK (num_nulls(token_created, token_run_id) <> 1)
);
CREATE INDEX uploads_short_id ON imports.uploads (short_id);
CREATE INDEX uploads_open ON imports.uploads (state, workspace, last_modified)
    WHERE state IN ('detected', 'queued', 'running', 'failed', 'ignored');
CREATE INDEX uploads_unreported ON imports.uploads (published_at)
    WHERE published_at IS NOT NULL AND reported_at IS NULL;
CREATE INDEX uploads_same_bytes ON imports.uploads (sha256, workspace, dataset);
CREATE INDEX uploads_published ON imports.uploads (workspace, dataset, published_at);
CREATE INDEX uploads_history ON imports.uploads (detected_at);

CREATE TABLE imports.attempts (
    upload_id     text COLLATE "C" NOT NULL REFERENCES imports.uploads ON DELETE CASCADE,
    attempt       text COLLATE "C" NOT NULL,
    number        integer NOT NULL,
    runs          integer NOT NULL DEFAULT 1,
    run_id        text NOT NULL,
    state         text NOT NULL DEFAULT 'running',
    error_code    text,
    error_message text,
    percent       double precision NOT NULL DEFAULT 0,
    progress_at   timestamptz,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at      timestamptz,
    PRIMARY KEY (upload_id, attempt)
);

CREATE TABLE imports.batches (
    upload_id   text COLLATE "C" NOT NULL,
    attempt     text COLLATE "C" NOT NULL,
    batch       integer NOT NULL CHECK (batch >= 1),
    state       text NOT NULL CHECK (state IN ('split', 'checked', 'staged', 'failed')),
    load_id     text,
    rows        bigint NOT NULL DEFAULT 0 CHECK (rows >= 0),
    seconds     double precision NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (upload_id, attempt, batch),
    FOREIGN KEY (upload_id, attempt) REFERENCES imports.attempts ON DELETE CASCADE,
    CONSTRAINT load_known CHECK (state <> 'staged' OR load_id IS NOT NULL)
);

CREATE TABLE imports.events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    upload_id text COLLATE "C" NOT NULL REFERENCES imports.uploads ON DELETE CASCADE,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    state     text NOT NULL,
    message   text NOT NULL DEFAULT '',
    percent   double precision CHECK (percent BETWEEN 0 AND 100)
);
CREATE INDEX events_timeline ON imports.events (upload_id, id);

CREATE TABLE imports.row_errors (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    upload_id  text COLLATE "C" NOT NULL REFERENCES imports.uploads ON DELETE CASCADE,
    sheet      text NOT NULL DEFAULT '',
    row_number bigint NOT NULL,
    "column"   text NOT NULL,
    value      text NOT NULL,
    code       text NOT NULL,
    severity   text NOT NULL CHECK (severity IN ('error', 'warning')),
    message    text NOT NULL
);
CREATE INDEX row_errors_upload ON imports.row_errors (upload_id, id);
"""

TRIGGERS = """
CREATE FUNCTION imports.check_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('detected', 'ignored') THEN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'allowed_transition',
                MESSAGE = 'upload ' || NEW.upload_id || ': cannot begin as ' || NEW.state;
        END IF;
        RETURN NEW;
    END IF;
    IF NOT EXISTS (SELECT FROM imports.transitions
                   WHERE from_state = OLD.state AND to_state = NEW.state) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'allowed_transition',
            MESSAGE = 'upload ' || NEW.upload_id || ': ' || OLD.state || ' cannot become ' || NEW.state;
    END IF;
    CASE
        WHEN NEW.state = 'queued' THEN NEW.queued_at := clock_timestamp();
        WHEN NEW.state = 'running' THEN NEW.running_at := clock_timestamp(); NEW.finished_at := NULL;
        WHEN NEW.state = 'detected' THEN
            NEW.queued_at := NULL; NEW.running_at := NULL; NEW.finished_at := NULL;
        WHEN NEW.state = 'undone' THEN NEW.undone_at := clock_timestamp();
        ELSE NEW.finished_at := clock_timestamp();
    END CASE;
    IF NEW.state IN ('completed', 'completed_with_rejects') AND NEW.published_at IS NULL THEN
        NEW.published_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION imports.note_arrivals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO imports.events (upload_id, state, message)
    SELECT upload_id, state, coalesce(ignored_reason, '') FROM arrived;
    RETURN NULL;
END $$;

CREATE FUNCTION imports.note_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO imports.events (upload_id, state, message)
    VALUES (NEW.upload_id, NEW.state, coalesce(NEW.error_message, NEW.ignored_reason, ''));
    IF OLD.state = 'running' THEN
        UPDATE imports.attempts
        SET state = NEW.state, ended_at = clock_timestamp(),
            error_code = NEW.error_code, error_message = NEW.error_message
        WHERE upload_id = NEW.upload_id AND attempt = NEW.attempt;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER check_first_state BEFORE INSERT ON imports.uploads
    FOR EACH ROW EXECUTE FUNCTION imports.check_transition();
CREATE TRIGGER check_transition BEFORE UPDATE ON imports.uploads
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION imports.check_transition();
CREATE TRIGGER note_arrivals AFTER INSERT ON imports.uploads
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION imports.note_arrivals();
CREATE TRIGGER note_transition AFTER UPDATE ON imports.uploads
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION imports.note_transition();
"""

# Place in the queue: queued ones first, then those that wait, a turn for each workspace.
VIEW = """
CREATE VIEW imports.uploads_view AS
WITH waiting AS (
    SELECT upload_id, state, queued_at, last_modified,
           row_number() OVER (PARTITION BY state, workspace ORDER BY last_modified, upload_id) AS turn
    FROM imports.uploads WHERE state IN ('detected', 'queued')
), queue AS (
    SELECT upload_id, row_number() OVER (
        ORDER BY (state = 'queued') DESC, CASE WHEN state = 'queued' THEN queued_at END,
                 turn, last_modified, upload_id) AS place
    FROM waiting
)
SELECT u.upload_id, u.short_id, u.workspace, u.dataset, u.file_name, u.human_name, u.uploaded_by, u.size,
       u.state,
       CASE WHEN u.state = 'running' THEN a.percent END AS percent,
       q.place AS queue_place,
       u.read, u.inserted, u.updated, u.unchanged, u.duplicate, u.rejected,
       u.rejected::double precision / nullif(u.read, 0) AS share_rejected,
       extract(epoch FROM coalesce(u.finished_at, clock_timestamp()) - u.running_at)::double precision
           AS seconds,
       u.attempts, u.run_id, u.duplicate_of, u.error_code, u.error_message, u.error_remedy,
       u.ignored_reason,
       CASE WHEN u.report_prefix IS NOT NULL THEN 's3://' || u.bucket || '/' || u.report_prefix END AS report,
       u.detected_at, u.queued_at, u.running_at, u.finished_at, u.published_at, u.reported_at, u.undone_at
FROM imports.uploads u
LEFT JOIN queue q USING (upload_id)
LEFT JOIN imports.attempts a ON a.upload_id = u.upload_id AND a.attempt = u.attempt;
"""


def upgrade() -> None:
    """Create everything; `migrate` made the schemas `imports` and `staging` before."""
    cursor = op.get_bind().connection.cursor()
    for part in (TABLES, TRIGGERS, VIEW):
        cursor.execute(part)


def downgrade() -> None:
    """There is no way back from the first revision but a backup."""
    raise NotImplementedError("Restore a backup: going back would drop the ledger.")
