package postgres

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestMapperKeys(t *testing.T) {
	for _, tt := range []struct {
		key, value, problem string
	}{
		{"column.mask.with.5.chars", "a.b.c", ""},
		{"column.mask.hash.SHA-256.with.salt.CzQMA0cB5K", "a.b.c", ""},
		{"column.mask.hash.v2.md5.with.salt.a.b.c", "a.b.c", ""},
		{"column.truncate.to.0.chars", "a.b.c", ""},
		{"column.propagate.source.type", ".*", ""},
		{"column.mask.with.99999999999999999999.chars", "a.b.c", "value out of range"},
		{"column.mask.with.5000000.chars", "a.b.c", "more than"},
		{"column.mask.hash.ROT13.with.salt.x", "a.b.c", "no hash algorithm ROT13"},
		{"column.mask.with.x.chars", "a.b.c", "want column.mask.with.N.chars"},
		{"column.truncate.to.5", "a.b.c", "want column.mask.with.N.chars"},
		{"column.mask.with.5.chars", "(?!a).*", "look-around"},
	} {
		_, problems := check(baseProps(map[string]string{tt.key: tt.value}))
		text := ""
		for _, p := range problems {
			text += p.Error()
		}
		if (text == "") != (tt.problem == "") || !strings.Contains(text, tt.problem) {
			t.Errorf("%s=%s: problems are %q, want %q", tt.key, tt.value, text, tt.problem)
		}
	}
}

func TestTextIsCutAsJavaDoes(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"", 0, ""}, {"abc", 0, ""}, {"größe", 3, "grö"}, {"a😀b", 3, "a😀"}, {"a😀b", 2, "a?"}, {"😀😀", 4, "😀😀"}} {
		if got := string(cutUTF16([]byte(tt.text), tt.n)); got != tt.want {
			t.Errorf("%q cut to %d is %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

// The bytes are those of java.io.ObjectOutputStream.writeObject(String).
func TestJavaSerialisation(t *testing.T) {
	for text, want := range map[string]string{
		"":      "aced0005740000",
		"ab":    "aced00057400026162",
		"ä\x00": "aced0005740004c3a4c080",
		"😀":     "aced0005740006eda0bdedb880",
	} {
		if got := hex.EncodeToString(appendJavaString(nil, []byte(text))); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	long := appendJavaString(nil, []byte(strings.Repeat("x", 70000)))
	if got := hex.EncodeToString(long[:14]); got != "aced00057c000000000001117078" {
		t.Errorf("a long text begins with %s", got)
	}
}

func TestMaskedColumns(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{
		"column.mask.with.3.chars": "public.p.name", "column.truncate.to.4.chars": "public.p.(bio|doc)",
		"column.mask.hash.v2.SHA-256.with.salt.s": "public.p.mail", "column.propagate.source.type": "public.p.(id|amount)",
	}, "CREATE TABLE p (id int PRIMARY KEY, name text, bio varchar(100), mail varchar(10), doc bytea, amount numeric(9,3))",
		`INSERT INTO p VALUES (1, NULL, 'a long one', 'a@b', '\x010203040506', 1), (2, 'Bert', 'x', NULL, NULL, NULL)`)
	got := w.events(2)
	compare(t, got,
		`shop.public.p {"id":1} r null {"id":1,"name":"***","bio":"a lo","mail":"a737d5101f","doc":"AQIDBA==","amount":"A+g="} first`,
		`shop.public.p {"id":2} r null {"id":2,"name":"***","bio":"x","mail":null,"doc":null,"amount":null} last`)
	after, _ := got[0].record.Value.Schema.Field("after")
	for _, tt := range []struct{ field, param, want string }{
		{"name", "masked", "true"}, {"mail", "masked", "true"}, {"bio", "truncateLength", "4"}, {"doc", "truncateLength", "4"},
		{"id", "__debezium.source.column.type", "INT4"}, {"amount", "__debezium.source.column.length", "9"}, {"amount", "__debezium.source.column.scale", "3"},
		{"amount", "__debezium.source.column.name", "amount"},
	} {
		f, ok := after.Schema.Field(tt.field)
		if !ok {
			t.Fatalf("no field %s", tt.field)
		}
		if v, _ := f.Schema.Param(tt.param); v != tt.want {
			t.Errorf("%s of %s is %q, want %q", tt.param, tt.field, v, tt.want)
		}
	}
	if f, _ := got[0].record.Key.Schema.Field("id"); len(f.Schema.Params()) > 0 {
		t.Error("the key's schema has parameters of the row's")
	}
}
