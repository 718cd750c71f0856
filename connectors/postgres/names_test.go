package postgres

import "testing"

// TestNames has identifiers with blanks, dots, quotes, capitals and letters
// beyond ASCII.
func TestNames(t *testing.T) {
	setup := []string{
		`CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."Tab.le" ("Id" int PRIMARY KEY, "a ""quoted"" one" text, "dot.ted" text, "1st" int, "über_größe" text)`,
		`CREATE TYPE "My Mood" AS ENUM ('it''s', 'a "b"'); CREATE TABLE "größe" (id int PRIMARY KEY, "naïve-name" "My Mood" NOT NULL DEFAULT 'it''s')`,
		`INSERT INTO "My Schema"."Tab.le" VALUES (1, 'a', 'b', 2, 'c')`, `INSERT INTO "größe" VALUES (1)`,
	}
	for _, tt := range []struct {
		mode string
		want []string
	}{
		{"none", []string{
			`shop.My_Schema.Tab.le {"Id":1} r null {"Id":1,"a \"quoted\" one":"a","dot.ted":"b","1st":2,"über_größe":"c"} first`,
			`shop.public.gr__e {"id":1} r null {"id":1,"naïve-name":"it's"} last`,
			`shop.My_Schema.Tab.le {"Id":1} d {"Id":1,"a \"quoted\" one":null,"dot.ted":null,"1st":null,"über_größe":null} null`,
			`shop.My_Schema.Tab.le {"Id":1} tombstone`,
			`shop.public.gr__e {"id":2} c null {"id":2,"naïve-name":"a \"b\""}`,
		}},
		{"avro", []string{
			`shop.My_Schema.Tab.le {"Id":1} r null {"Id":1,"a__quoted__one":"a","dot_ted":"b","_1st":2,"_ber_gr__e":"c"} first`,
			`shop.public.gr__e {"id":1} r null {"id":1,"na_ve_name":"it's"} last`,
			`shop.My_Schema.Tab.le {"Id":1} d {"Id":1,"a__quoted__one":null,"dot_ted":null,"_1st":null,"_ber_gr__e":null} null`,
			`shop.My_Schema.Tab.le {"Id":1} tombstone`,
			`shop.public.gr__e {"id":2} c null {"id":2,"na_ve_name":"a \"b\""}`,
		}},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			w := newWorker(t, shared(t), map[string]string{"field.name.adjustment.mode": tt.mode, "schema.name.adjustment.mode": tt.mode, "publication.autocreate.mode": "filtered"}, setup...)
			got := w.events(2)
			w.exec(`DELETE FROM "My Schema"."Tab.le"`, `INSERT INTO "größe" VALUES (2, 'a "b"')`)
			compare(t, append(got, w.events(3)...), tt.want...)
		})
	}
}
