package parse

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func parser(t testing.TB, c Config) Parser {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatalf("parser %+v: %v", c, err)
	}
	return p
}

// text returns what a parser makes of a line, as text, or its error.
func text(t testing.TB, p Parser, line string) string {
	t.Helper()
	before := []byte("before")
	buf, d, _, err := p.Parse(before, []byte(line))
	if err != nil {
		if string(buf) != "before" {
			t.Errorf("after an error the buffer is %q", buf)
		}
		return "error: " + err.Error()
	}
	if !strings.HasPrefix(string(buf), "before") {
		t.Errorf("the buffer lost what was in it: %q", buf)
	}
	v, err := d.Value()
	if err != nil {
		t.Fatalf("the row of %q: %v", line, err)
	}
	return data.Text(v)
}

const combinedLine = `203.0.113.9 - joe [10/Oct/2000:13:55:36 -0700] "GET /a b.gif?x=\"1\" HTTP/1.0" 200 2326 "https://b/" "Mozilla/5.0 (x)"`

func TestParsers(t *testing.T) {
	json := Config{Kind: "json", Fields: []string{"time:timestamp", "level", "n:int64", "ok:boolean", "http.status:int32"}, TimeField: "time"}
	rest := Config{Kind: "json", Fields: []string{"level!:string"}, Rest: "more"}
	rest.Fields = []string{"level"}
	for _, tt := range []struct {
		name string
		c    Config
		line string
		want string
	}{
		{"json", json, `{"time":"2024-01-02T03:04:05.678Z","level":"info","n":12,"ok":true,"http":{"status":200,"x":[1]}}`,
			"Struct{time=1704164645678,level=info,n=12,ok=true,http_status=200}"},
		{"json in another order", json, ` { "n" : "7" , "extra":{"a":[{},"x\u00e4"]}, "level":"a\"\u00e4\ud83d\ude00\n" } `, "Struct{level=a\"ä😀\n,n=7}"},
		{"json with dots in names", json, `{"http.status":"404","level":null}`, "Struct{http_status=404}"},
		{"a string takes anything", json, `{"level":{"a": 1}}`, `Struct{level={"a": 1}}`},
		{"json that is none", json, `{"level":"x"`, "error: it is not JSON at byte 12: a comma or the end is wanted"},
		{"json with more behind", json, `{} {}`, "error: it is not JSON at byte 3: text after the object"},
		{"not an object", json, `[1]`, "error: it is not JSON at byte 0: an object is wanted"},
		{"a bad number", json, `{"n":1.5}`, `error: field n: "1.5" is not a whole number of its size`},
		{"half a surrogate", json, `{"level":"\ud83dx"}`, "Struct{level=\uFFFDx}"},
		{"rest", rest, `{"a":1,"level":"x","b":"two","a":null}`, "Struct{level=x,more={a=null, b=two}}"},
		{"json without schema", Config{Kind: "json"}, `{"b":1,"a":[true,null,1.5]}`, "{a=[true, null, 1.5], b=1}"},
		{"json with a schema", Config{Kind: "json", Schema: `{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"]}]}`},
			`{"b":"x","a":5,"c":0}`, "Struct{a=5,b=x}"},
		{"logfmt", Config{Kind: "logfmt"}, `level=info msg="a \"b\" c" debug n=5`, `{debug=null, level=info, msg=a "b" c, n=5}`},
		{"logfmt with fields", Config{Kind: "logfmt", Fields: []string{"n:int64", "msg"}, Rest: "rest"}, `level=info msg=x n=5`, `Struct{n=5,msg=x,rest={level=info}}`},
		{"no logfmt", Config{Kind: "logfmt"}, `just some words`, "error: " + errLogfmt.Error()},
		{"csv", Config{Kind: "csv", Fields: []string{"a", "b:double", "c"}}, `"x, ""y""",1.5,`, `Struct{a=x, "y",b=1.5,c=}`},
		{"csv of another width", Config{Kind: "csv", Fields: []string{"a", "b"}}, `x`, "error: " + errWidth.Error()},
		{"csv with an open quote", Config{Kind: "csv", Fields: []string{"a"}}, `"x`, "error: " + errQuote.Error()},
		{"csv with other marks", Config{Kind: "csv", Fields: []string{"a", "b"}, Separator: ";", Quote: "'"}, `'x;';y`, "Struct{a=x;,b=y}"},
		{"tsv", Config{Kind: "tsv", Fields: []string{"a", "b:int32"}}, "x\\ty\t7", "Struct{a=x\ty,b=7}"},
		{"regex", Config{Kind: "regex", Pattern: `^(?P<level>[A-Z]+) (?:(?<n>\d+) )?(?P<text>.*)$`, Fields: []string{"n:int32"}}, "WARN 12 hot", "Struct{level=WARN,n=12,text=hot}"},
		{"a group that takes no part", Config{Kind: "regex", Pattern: `^(?P<level>[A-Z]+) (?:(?<n>\d+) )?(?P<text>.*)$`}, "WARN hot", "Struct{level=WARN,text=hot}"},
		{"no match", Config{Kind: "regex", Pattern: `^(?P<a>x)$`}, "y", "error: " + errNoMatch.Error()},
		{"grok", Config{Kind: "grok", Pattern: `^%{TIMESTAMP_ISO8601:at} \[%{LOGLEVEL:[log][level]}\] %{IPORHOST:client.ip} took %{NUMBER:took:float} for %{INT:n:int}: %{GREEDYDATA:text}$`, Fields: []string{"at:timestamp"}, TimeField: "at"},
			"2024-01-02T03:04:05.678Z [WARN] fe80::1 took 1.5 for -7: all of it", "Struct{at=1704164645678,log_level=WARN,client_ip=fe80::1,took=1.5,n=-7,text=all of it}"},
		{"grok with definitions", Config{Kind: "grok", Pattern: `%{ORDER:order}(?<rest>.*)`, Definitions: "# ours\nORDER %{PREFIX}-[0-9]{3}\nPREFIX [A-Z]{2}\n"}, "AB-123 x", "Struct{order=AB-123,rest= x}"},
		{"grok of an access log", Config{Kind: "grok", Pattern: `^%{COMBINEDAPACHELOG}`}, `203.0.113.9 - joe [10/Oct/2000:13:55:36 -0700] "GET /a?x=1 HTTP/1.0" 200 2326 "https://b/" "Mozilla/5.0 (x)"`,
			`Struct{clientip=203.0.113.9,ident=-,auth=joe,timestamp=10/Oct/2000:13:55:36 -0700,verb=GET,request=/a?x=1,httpversion=1.0,response=200,bytes=2326,referrer="https://b/",agent="Mozilla/5.0 (x)"}`},
		{"grok of syslog", Config{Kind: "grok", Pattern: `^%{SYSLOGBASE} %{GREEDYDATA:message}`}, `Oct  1 22:14:15 host.example sshd[42]: Accepted key`,
			`Struct{timestamp=Oct  1 22:14:15,logsource=host.example,program=sshd,pid=42,message=Accepted key}`},
		{"groups of one name", Config{Kind: "grok", Pattern: `^(?:%{IP:client}|%{HOSTNAME:client}) %{WORD:verb}`}, "example.org GET", "Struct{client=example.org,verb=GET}"},
		{"combined", Config{Kind: "nginx"}, combinedLine, `Struct{remote_addr=203.0.113.9,remote_user=joe,time=971211336000,request=GET /a b.gif?x=\"1\" HTTP/1.0,method=GET,path=/a b.gif?x=\"1\",protocol=HTTP/1.0,status=200,body_bytes=2326,referer=https://b/,user_agent=Mozilla/5.0 (x)}`},
		{"combined with more", Config{Kind: "apache"}, combinedLine + ` "1.2.3.4" 0.01`, `Struct{remote_addr=203.0.113.9,remote_user=joe,time=971211336000,request=GET /a b.gif?x=\"1\" HTTP/1.0,method=GET,path=/a b.gif?x=\"1\",protocol=HTTP/1.0,status=200,body_bytes=2326,referer=https://b/,user_agent=Mozilla/5.0 (x),extra="1.2.3.4" 0.01}`},
		{"no request", Config{Kind: "combined"}, `::1 - - [10/Oct/2000:13:55:36 +0000] "\x16\x03" 400 - "-" "-"`, `Struct{remote_addr=::1,time=971186136000,request=\x16\x03,status=400}`},
		{"common", Config{Kind: "common"}, `h i u [10/Oct/2000:13:55:36 +0000] "GET / HTTP/2.0" 304 0`, `Struct{remote_addr=h,ident=i,remote_user=u,time=971186136000,request=GET / HTTP/2.0,method=GET,path=/,protocol=HTTP/2.0,status=304,body_bytes=0}`},
		{"no access log", Config{Kind: "common"}, `h i u [10/Oct/2000:13:55:36 +0000] "GET / HTTP/2.0" 304`, "error: " + errAccess.Error()},
		{"syslog 5424", Config{Kind: "syslog"}, "<165>1 2003-10-11T22:14:15.003Z host app - ID47 [x@1 a=\"b \\\"c\\\"\" d=\"e\"][y f=\"\"] \xef\xbb\xbfan event", `Struct{priority=165,facility=20,severity=5,time=1065910455003,hostname=host,app_name=app,msg_id=ID47,message=an event,structured_data={x@1.a=b "c", x@1.d=e, y.f=}}`},
		{"syslog 5424 without a message", Config{Kind: "syslog-rfc5424"}, "<0>1 - - - - - -", `Struct{priority=0,facility=0,severity=0,structured_data={}}`},
		{"syslog 3164 in a file", Config{Kind: "syslog"}, "2024-01-02T03:04:05.678+00:00 host sshd[42]: Accepted key", `Struct{time=1704164645678,hostname=host,app_name=sshd,proc_id=42,message=Accepted key,structured_data={}}`},
		{"syslog without a tag", Config{Kind: "syslog"}, "2024-01-02T03:04:05Z host words and more", `Struct{time=1704164645000,hostname=host,message=words and more,structured_data={}}`},
		{"no syslog", Config{Kind: "syslog"}, "words and more", "error: " + errSyslog.Error()},
		{"not that syslog", Config{Kind: "syslog-rfc5424"}, "2024-01-02T03:04:05Z host words", "error: " + errSyslog.Error()},
		{"cri", Config{Kind: CRI}, "2016-10-06T00:17:09.669794202Z stderr F log line", "Struct{time=1475713029669,stream=stderr,log=log line}"},
		{"cri in pieces", Config{Kind: CRI}, "2016-10-06T00:17:09.6Z stdout P be\n2016-10-06T00:17:10Z stdout F gin", "Struct{time=1475713029600,stream=stdout,log=begin}"},
		{"cri without text", Config{Kind: CRI}, "2016-10-06T00:17:09Z stdout F", "Struct{time=1475713029000,stream=stdout,log=}"},
		{"docker", Config{Kind: Docker}, `{"log":"a \"b\"\n","stream":"stdout","attrs":{},"time":"2016-10-06T00:17:09.669794202Z"}`, `Struct{time=1475713029669,stream=stdout,log=a "b"}`},
		{"docker in pieces", Config{Kind: Docker}, `{"log":"a\t","stream":"stdout","time":"2016-10-06T00:17:09Z"}` + "\n" + `{"log":"b\n","stream":"stdout","time":"2016-10-06T00:17:10Z"}`, "Struct{time=1475713029000,stream=stdout,log=a\tb}"},
		{"no container", Config{Kind: Docker}, `{"log":"a"}`, "error: " + errContainer.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := parser(t, tt.c)
			for range 2 { // what a parser keeps must not show in the next line
				if got := text(t, p, tt.line); got != tt.want {
					t.Errorf("%q becomes\n%s, want\n%s", tt.line, got, tt.want)
				}
			}
		})
	}
}

// TestOldSyslogHasThisYear holds that a time without a year is in the past.
func TestOldSyslogHasThisYear(t *testing.T) {
	p := parser(t, Config{Kind: "syslog"})
	now := time.Now().UTC()
	line := "<34>" + now.Format("Jan _2 15:04:05") + " host su: failed"
	_, _, ms, err := p.Parse(nil, []byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if got := time.UnixMilli(ms).UTC(); got.Year() != now.Year() || got.Month() != now.Month() {
		t.Errorf("%q is of %s", line, got)
	}
}

func TestTimestampOfTheLine(t *testing.T) {
	p := parser(t, Config{Kind: "json", Fields: []string{"at:timestamp"}, TimeField: "at", TimeFormat: "unix"})
	_, _, ms, err := p.Parse(nil, []byte(`{"at":1704164645.678}`))
	if err != nil || ms != 1704164645678 {
		t.Errorf("time is %d, %v", ms, err)
	}
	if _, _, ms, err = p.Parse(nil, []byte(`{}`)); err != nil || ms != data.NoTimestamp {
		t.Errorf("time is %d, %v", ms, err)
	}
}

func TestPartial(t *testing.T) {
	for kind, lines := range map[string][3]string{
		CRI:    {"2016-10-06T00:17:09Z stdout P x", "2016-10-06T00:17:09Z stderr F x", "nothing"},
		Docker: {`{"log":"x","stream":"stdout","time":"t"}`, `{"log":"x\n","stream":"stderr","time":"t"}`, "nothing"},
	} {
		partial := Partial(kind)
		for i, want := range []struct {
			partial bool
			stream  byte
		}{{true, 1}, {false, 2}, {false, 0}} {
			if got, stream := partial([]byte(lines[i])); got != want.partial || stream != want.stream {
				t.Errorf("%s: %q is %v of %d", kind, lines[i], got, stream)
			}
		}
	}
}

// TestGrokPatterns holds that every pattern means something by itself, and what
// some do not match.
func TestGrokPatterns(t *testing.T) {
	for name, lines := range map[string][2]string{
		"USER": {"joe.x", "!"}, "EMAILADDRESS": {"a+b@example.org", "a@"}, "INT": {"-12", "x"}, "NUMBER": {"1.5", "."}, "BASE16NUM": {"0xFf", "g"}, "POSINT": {"10", "0"},
		"NONNEGINT": {"0", "-1"}, "BOOL": {"TRUE", "yes"}, "WORD": {"word", "two words"}, "NOTSPACE": {"x;y", "x y"}, "QS": {`"a \" b"`, `"a`}, "UUID": {"123e4567-e89b-12d3-a456-426614174000", "123e4567"},
		"MAC": {"00:1a:2B:3c:4d:5e", "00:1a"}, "IPV4": {"192.168.0.255", "192.168.0.256"}, "IPV6": {"2001:db8::1", "2001"}, "IP": {"::ffff:10.0.0.1", "10.0.0"}, "HOSTNAME": {"a-b.example.org", "-"},
		"HOSTPORT": {"::1:80", "host"}, "PATH": {"/var/log/x", "var"}, "URI": {"https://joe:pw@example.org:8080/a/b?x=1", "//x"}, "MONTH": {"Sep", "Sept"}, "DAY": {"Tuesday", "Tu"},
		"TIME": {"23:59:60.123", "24:00:00"}, "DATE": {"31.12.2024", "2024"}, "TIMESTAMP_ISO8601": {"2024-01-02 03:04:05,678+01:00", "2024-01-02"}, "HTTPDATE": {"10/Oct/2000:13:55:36 -0700", "10/10/2000"},
		"SYSLOGTIMESTAMP": {"Oct 11 22:14:15", "Oct 22:14:15"}, "LOGLEVEL": {"Warning", "loud"},
	} {
		p := parser(t, Config{Kind: "grok", Pattern: "^%{" + name + ":it}$"})
		if got := text(t, p, lines[0]); got != "Struct{it="+lines[0]+"}" {
			t.Errorf("%s makes %s of %q", name, got, lines[0])
		}
		if got := text(t, p, lines[1]); got != "error: "+errNoMatch.Error() {
			t.Errorf("%s makes %s of %q", name, got, lines[1])
		}
	}
	for name := range grokPatterns {
		parser(t, Config{Kind: "grok", Pattern: "(?P<all>%{" + name + "})"})
	}
}

func TestProblems(t *testing.T) {
	for key, c := range map[string]Config{
		"parser":             {Kind: "xml"},
		"parser.fields":      {Kind: "csv"},
		"parser.rest.field":  {Kind: "json", Rest: "x"},
		"parser.schema":      {Kind: "json", Schema: "{"},
		"parser.pattern":     {Kind: "regex", Pattern: "(?=x)"},
		"parser.separator":   {Kind: "csv", Fields: []string{"a"}, Separator: "::"},
		"parser.quote":       {Kind: "json", Quote: "'"},
		"parser.time.field":  {Kind: "json", Fields: []string{"a"}, TimeField: "a"},
		"parser.time.format": {Kind: "json", Fields: []string{"a:timestamp"}, TimeFormat: "yyyy"},
	} {
		checkProblem(t, key, c)
	}
	for _, c := range []Config{
		{Kind: "grok"}, {Kind: "grok", Pattern: "%{NOPE:x}"}, {Kind: "grok", Pattern: "%{INT:x:date}"}, {Kind: "grok", Pattern: "%{INT}"}, {Kind: "grok", Pattern: "%{INT:..}"},
		{Kind: "grok", Pattern: "%{A:x}", Definitions: "A %{B}\nB %{A}"}, {Kind: "grok", Pattern: "%{A:x}", Definitions: "A x(?=y)"},
		{Kind: "grok", Pattern: "%{A:x}", Definitions: "A %{B}%{B}%{B}%{B}%{B}%{B}%{B}%{B}\nB %{C}%{C}%{C}%{C}%{C}%{C}%{C}%{C}\nC %{D}%{D}%{D}%{D}%{D}%{D}%{D}%{D}\nD %{URI}%{URI}"},
	} {
		checkProblem(t, "parser.pattern", c)
	}
	checkProblem(t, "parser.definitions", Config{Kind: "grok", Pattern: "%{INT:x}", Definitions: "A"})
	checkProblem(t, "parser.fields", Config{Kind: "grok", Pattern: "%{INT:x:int}", Fields: []string{"x:int32"}})
	if p, err := New(Config{Kind: None}); p != nil || err != nil {
		t.Errorf("no parser is %v, %v", p, err)
	}
}

func checkProblem(t *testing.T, key string, c Config) {
	t.Helper()
	_, err := New(c)
	if p := (*Problem)(nil); !errors.As(err, &p) || p.Key != key {
		t.Errorf("%+v gives %v, want a problem of %s", c, err, key)
	}
}

// FuzzParsers holds that no line makes a parser panic, write a row that cannot
// be read, or change what was in the buffer.
func FuzzParsers(f *testing.F) {
	configs := []Config{
		{Kind: "json", Fields: []string{"a:int64", "b.c", "d:timestamp"}, Rest: "rest"}, {Kind: "json"}, {Kind: "logfmt"},
		{Kind: "logfmt", Fields: []string{"a:decimal(2)"}, Rest: "r"}, {Kind: "csv", Fields: []string{"a", "b:date"}}, {Kind: "tsv", Fields: []string{"a", "b"}},
		{Kind: "regex", Pattern: `(?P<a>.*?) (?P<b>.*)`}, {Kind: "combined"}, {Kind: "common"}, {Kind: "syslog"}, {Kind: CRI}, {Kind: Docker},
		{Kind: "grok", Pattern: `%{NUMBER:a:float} %{IP:b}|%{QS:c}`},
	}
	for _, line := range []string{
		combinedLine, `{"a":1,"b":{"c":"\u00e4"},"d":"2024-01-01"}`, "a=1 b=\"x\"", "<34>Oct 11 22:14:15 h a[1]: t", "2016-10-06T00:17:09Z stdout P x\n2016-10-06T00:17:09Z stdout F x",
		`<34>1 2003-10-11T22:14:15Z h a p m [x y="z"] t`, `"a""b",2024-02-30`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, c := range configs {
			p := parser(t, c)
			given := string(line)
			buf, d, _, err := p.Parse([]byte("x"), line)
			if buf[0] != 'x' || string(line) != given {
				t.Fatalf("%s changed what it was given", c.Kind)
			}
			if err != nil {
				continue
			}
			if _, err := d.Value(); err != nil {
				t.Fatalf("%s: the row of %q: %v", c.Kind, line, err)
			}
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	p := parser(b, Config{Kind: "json", Fields: []string{"time:timestamp", "level", "service", "status:int32", "took:double", "msg"}, TimeField: "time"})
	benchmark(b, p, `{"time":"2024-01-02T03:04:05.678Z","level":"info","service":"checkout","status":200,"took":12.345,"msg":"the order was taken and paid for, and the customer was told about it by mail, all is well here"}`)
}

func BenchmarkCombined(b *testing.B) { benchmark(b, parser(b, Config{Kind: "combined"}), combinedLine) }

func benchmark(b *testing.B, p Parser, line string) {
	var buf []byte
	var err error
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if buf, _, _, err = p.Parse(buf[:0], []byte(line)); err != nil {
			b.Fatal(err)
		}
	}
}
