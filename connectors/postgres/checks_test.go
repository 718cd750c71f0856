package postgres

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// TestValidation looks for what is wrong on the server before a start.
func TestValidation(t *testing.T) {
	s := shared(t)
	for _, tt := range []struct {
		name    string
		props   map[string]string
		setup   []string
		role    string // statements for a user who is not superuser, %u for its name; "" for the superuser
		key     string // of the one problem, "" for none
		problem string
	}{
		{"fine", map[string]string{"table.include.list": "public.t", "publication.autocreate.mode": "filtered"}, nil, "", "", ""},
		{"no table matches", map[string]string{"table.include.list": "public.tt"}, nil, "", "table.include.list", "no table of database"},
		{"pattern without schema", map[string]string{"table.include.list": "t"}, nil, "", "table.include.list", "matched whole, as schema.table"},
		{"publication missing", map[string]string{"publication.autocreate.mode": "disabled"}, nil, "", "publication.autocreate.mode", "does not exist"},
		{"publication of all tables", map[string]string{"publication.autocreate.mode": "filtered"}, []string{"CREATE PUBLICATION dbz_publication FOR ALL TABLES"}, "", "publication.autocreate.mode", "FOR ALL TABLES"},
		{"key not in old rows", map[string]string{"message.key.columns": "public.t:v"}, nil, "", "message.key.columns", "REPLICA IDENTITY FULL"},
		{"key in old rows", map[string]string{"message.key.columns": "public.t:v"}, []string{"ALTER TABLE t REPLICA IDENTITY FULL"}, "", "", ""},
		{"key made to be in old rows", map[string]string{"message.key.columns": "public.t:v", "replica.identity.autoset.values": "public.t:FULL"}, nil, "", "", ""},
		{"key of no column", map[string]string{"message.key.columns": "public.t:x"}, nil, "", "message.key.columns", "no column x"},
		{"may not read", map[string]string{"publication.autocreate.mode": "disabled"}, []string{"CREATE PUBLICATION dbz_publication FOR ALL TABLES"}, "CREATE ROLE %u LOGIN REPLICATION", "database.user", "GRANT SELECT"},
		{"may not publish", map[string]string{"snapshot.mode": "no_data"}, nil, "CREATE ROLE %u LOGIN REPLICATION", "publication.autocreate.mode", "superuser"},
		{"may publish nothing", map[string]string{"publication.autocreate.mode": "filtered", "snapshot.mode": "no_data"}, nil, "CREATE ROLE %u LOGIN REPLICATION", "publication.autocreate.mode", "GRANT CREATE ON DATABASE"},
		{"identities", map[string]string{"replica.identity.autoset.values": "public.t:SOME"}, nil, "", "replica.identity.autoset.values", "DEFAULT, FULL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorker(t, s, tt.props, append([]string{"CREATE TABLE t (id int PRIMARY KEY, v text)"}, tt.setup...)...)
			if tt.role != "" {
				user := "role_of_" + w.db
				w.exec(strings.ReplaceAll(tt.role, "%u", user))
				w.props["database.user"] = user
			}
			problems := Source{}.Validate(t.Context(), w.config())
			switch {
			case tt.key == "" && len(problems) == 0:
			case tt.key == "" || len(problems) != 1 || problems[0].Key != tt.key || !strings.Contains(problems[0].Text, tt.problem):
				t.Errorf("problems are %v, want one of %q with %q", problems, tt.key, tt.problem)
			}
		})
	}
	t.Run("slot in use", func(t *testing.T) {
		w := newWorker(t, s, nil, "CREATE TABLE t (id int PRIMARY KEY)")
		w.run()
		first(t, w)
		if p := (Source{}).Validate(t.Context(), w.config()); len(p) > 0 {
			t.Errorf("its own task is held against it: %v", p)
		}
		w.exec("SELECT pg_create_logical_replication_slot('" + w.props["slot.name"] + "_b', 'pgoutput')")
		other := newWorker(t, s, nil)
		other.props["database.dbname"], other.props["slot.name"] = w.db, w.props["slot.name"]
		cfg, problems := newConfig(other.config())
		if problems != nil {
			t.Fatal(problems)
		}
		cfg.slot = "somebody" // another application's name
		w.stop()
		w.slotIsFree()
		command := startCommand(&config{slot: w.props["slot.name"], publication: "dbz_publication"}, 0, 15, false)
		stream, err := openStream(t.Context(), cfg, 0, 0, command)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.close()
		if p := (Source{}).Validate(t.Context(), other.config()); len(p) != 1 || p[0].Key != "slot.name" || !strings.Contains(p[0].Text, "millrace somebody") {
			t.Errorf("problems are %v", p)
		}
	})
	t.Run("no slot free", func(t *testing.T) {
		full := pgtest.Start(t, "max_replication_slots=1")
		w := newWorker(t, full, nil, "CREATE TABLE t (id int PRIMARY KEY)", "SELECT pg_create_physical_replication_slot('only')")
		if p := (Source{}).Validate(t.Context(), w.config()); len(p) != 1 || !strings.Contains(p[0].Text, "max_replication_slots") {
			t.Errorf("problems are %v", p)
		}
	})
}

func TestIdentitiesAreSet(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"replica.identity.autoset.values": "public.a:FULL,public.b.*:INDEX b_v,public.c:NOTHING"},
		"CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE bb (id int PRIMARY KEY, v text NOT NULL); CREATE UNIQUE INDEX b_v ON bb (v); CREATE TABLE c (id int PRIMARY KEY); CREATE TABLE d (id int PRIMARY KEY)")
	w.run()
	first(t, w)
	got := strings.Join(w.exec("SELECT relname || relreplident::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"), " ")
	if got != "af bbi cn dd" {
		t.Errorf("identities are %s", got)
	}
}
