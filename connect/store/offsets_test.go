package store

import "testing"

func TestCanonicalPartition(t *testing.T) {
	same := [][2]string{
		{`{"b":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"server":"x"}`, ` { "server" : "x" } `},
		{`{"a":1.0}`, `{"a":1.00}`},
		{`{"a":"<é>"}`, `{"a":"\u003cé\u003e"}`},
		{`{}`, `{ }`},
	}
	for _, p := range same {
		if a, b := mustCanon(t, p[0]), mustCanon(t, p[1]); a != b {
			t.Errorf("%s and %s are the same partition, but %q != %q", p[0], p[1], a, b)
		}
	}
	differ := [][2]string{
		{`{"a":1}`, `{"a":"1"}`},
		{`{"a":1}`, `{"a":1.0}`}, // int64 and float64 in Connect
		{`{"a":1}`, `{"b":1}`},
		{`{"a":null}`, `{}`},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`},
	}
	for _, p := range differ {
		if a, b := mustCanon(t, p[0]), mustCanon(t, p[1]); a == b {
			t.Errorf("%s and %s are different partitions, but both give %q", p[0], p[1], a)
		}
	}
	for _, bad := range []string{``, `[1]`, `"x"`, `{`} {
		if got, err := canonical([]byte(bad)); err == nil {
			t.Errorf("canonical(%q) = %q, want an error", bad, got)
		}
	}
}

func mustCanon(t *testing.T, s string) string {
	t.Helper()
	c, err := canonical([]byte(s))
	if err != nil {
		t.Fatalf("canonical(%s): %v", s, err)
	}
	return c
}

func TestParseOffsetKey(t *testing.T) {
	name, p, err := parseOffsetKey([]byte(`["inventory",{"server":"db"}]`))
	if err != nil || name != "inventory" || string(p) != `{"server":"db"}` {
		t.Errorf("got %q, %s, %v", name, p, err)
	}
	for _, bad := range []string{``, `{}`, `["a"]`, `["a",{},1]`, `[1,{}]`} {
		if _, _, err := parseOffsetKey([]byte(bad)); err == nil {
			t.Errorf("key %s was taken in", bad)
		}
	}
}

func TestOffsetsHoldPrimitivesOnly(t *testing.T) {
	for _, tt := range []struct {
		offset string
		ok     bool
	}{
		{`{"lsn":23904,"txId":555,"last":true,"s":null,"f":1.5,"t":"x"}`, true},
		{`{}`, true},
		{`{"a":{"b":1}}`, false},
		{`{"a":[1]}`, false},
		{`[]`, false},
	} {
		if err := checkOffset([]byte(tt.offset)); (err == nil) != tt.ok {
			t.Errorf("checkOffset(%s) = %v, want ok=%v", tt.offset, err, tt.ok)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"server":"db","n":1e400}`))
	f.Add([]byte(`["c",{"b":1}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := canonical(b); err == nil && c == "" && len(b) > 8 && b[0] == '{' && b[1] == '"' {
			t.Errorf("%q has an empty canonical form", b)
		}
		_, _, _ = parseOffsetKey(b) // must only not panic
	})
}
