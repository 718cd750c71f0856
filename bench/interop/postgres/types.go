package main

import (
	"fmt"
	"strings"
)

// typeColumns are a column of every type and values that are easy to get wrong.
// A value that Debezium's task would fail of is in a scenario of its own.
var typeColumns = []struct {
	name, definition string
	values           []string
}{
	{"bool", "boolean", []string{"true", "false"}},
	{"i2", "smallint", []string{"-32768", "32767"}},
	{"i4", "integer", []string{"-2147483648", "2147483647"}},
	{"i8", "bigint", []string{"-9223372036854775808", "9223372036854775807"}},
	{"oid", "oid", []string{"4294967295", "0"}},
	{"f4", "real", []string{"'NaN'", "'-Infinity'", "3.4e38", "0.1"}},
	{"f8", "double precision", []string{"'NaN'", "'Infinity'", "0.1", "-1e-300", "-0.0"}},
	{"num", "numeric(12,2)", []string{"1234567.891", "-0.01", "9999999999.99", "0"}},
	{"num_int", "numeric(5)", []string{"12345", "-1"}},
	{"num_big", "numeric(38,10)", []string{"1234567890123456789012345678.0123456789", "-1"}},
	{"num_neg", "numeric(5,-2)", []string{"12345", "0"}},
	{"num_any", "numeric", []string{"1.500", "1e30", "-0.000000000000000000000000001", "100", "0", "123456789012345678901234567890.12"}},
	{"money", "money", []string{"1234.5", "-5", "0"}},
	{"txt", "text", []string{"E'a\\nb\\tc\\\\d'", "'häßlich \U0001F600'", "''"}},
	{"vc", "varchar(5)", []string{"'ab'"}},
	{"ch", "char(5)", []string{"'ab'"}},
	{"nm", "name", []string{"'n'"}},
	{"onechar", `"char"`, []string{"'x'"}},
	{"bin", "bytea", []string{`'\x00ff10'`, `'\x'`}},
	{"d", "date", []string{"'2017-09-15'", "'0044-03-15 BC'", "'20000-01-01'", "'1582-10-10'", "'0001-01-01'"}},
	{"t", "time", []string{"'04:05:11.789123'", "'23:59:59.999999'"}},
	{"t0", "time(0)", []string{"'04:05:11'"}},
	{"t3", "time(3)", []string{"'04:05:11.789'"}},
	{"t6", "time(6)", []string{"'04:05:11.78'"}},
	{"tz", "timetz", []string{"'04:05:11.789+02'", "'01:00:00+01:30'", "'23:59:59-10'"}},
	{"ts", "timestamp", []string{"'2016-06-20 13:37:03.123456'", "'1969-12-31 23:59:59.999999'", "'0044-03-15 00:00 BC'", "'1582-10-10 00:00'"}},
	{"ts0", "timestamp(0)", []string{"'1969-12-31 23:59:59'"}},
	{"ts3", "timestamp(3)", []string{"'1969-12-31 23:59:59.999'"}},
	{"ts6", "timestamp(6)", []string{"'2016-06-20 13:37:03.12'"}},
	{"tstz", "timestamptz", []string{"'2016-06-20 13:37:03.1+02'", "'1969-12-31 23:59:59.999999+00'", "'0044-03-15 00:00+00 BC'", "'2016-06-20 00:00:00+00'"}},
	{"tstz0", "timestamptz(0)", []string{"'2016-06-20 13:37:03+00'"}},
	{"tstz3", "timestamptz(3)", []string{"'2016-06-20 13:37:03.1+00'"}},
	{"tstz6", "timestamptz(6)", []string{"'2016-06-20 13:37:03.1+00'"}},
	{"iv", "interval", []string{"'1 year 2 months 3 days 4:05:06.78'", "'-1 mon -3 days 00:00:01'", "'-00:00:01.5'", "'0'", "'100:00:00'"}},
	{"bit1", "bit(1)", []string{"B'1'", "B'0'"}},
	{"bit12", "bit(12)", []string{"B'000000000101'", "B'100000000000'", "B'000000000000'"}},
	{"vbit1", "varbit(1)", []string{"B'1'"}},
	{"vbit", "varbit(20)", []string{"B'1000000001'"}},
	{"vbit_any", "varbit", []string{"B'1000000001'"}},
	{"uid", "uuid", []string{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"}},
	{"js", "json", []string{`'{"a": [1,  2]}'`}},
	{"jsb", "jsonb", []string{`'{"b":1,"a":null}'`, "'null'"}},
	{"xm", "xml", []string{"'<a>b</a>'"}},
	{"mood", "mood", []string{"'sad'", "'very, happy'"}},
	{"dom", "price", []string{"12.345"}},
	{"dom2", "price2", []string{"12.345"}},
	{"dom_txt", "email", []string{"'a@b'"}},
	{"ip", "inet", []string{"'10.0.0.1'", "'10.0.0.0/8'", "'::1'"}},
	{"cid", "cidr", []string{"'10.0.0.0/8'"}},
	{"mac", "macaddr", []string{"'08:00:2b:01:02:03'"}},
	{"mac8", "macaddr8", []string{"'08:00:2b:01:02:03:04:05'"}},
	{"r4", "int4range", []string{"'(1,5]'", "'empty'"}},
	{"r8", "int8range", []string{"'(1,5]'"}},
	{"rn", "numrange", []string{"'(1.5,5]'"}},
	{"rd", "daterange", []string{"'(2016-01-01,2016-02-01]'"}},
	{"rt", "tsrange", []string{"'[2016-01-01 00:00,)'"}},
	{"rtz", "tstzrange", []string{"'[2016-01-01 00:00+00,)'"}},
	{"tsv", "tsvector", []string{"'a b'"}},
	{"pt", "point", []string{"'(1.5,-2)'"}},
	{"ci", "citext", []string{"'MiXed'"}},
	{"lt", "ltree", []string{"'a.b.c'"}},
	{"isbn", "isbn", []string{"'978-0-393-04002-9'"}},
	{"hs", "hstore", []string{`'a=>1, "b \"q\""=>NULL, "ü"=>"x"'`, "''"}},
	{"ai", "integer[]", []string{"'{1,NULL,-3}'", "'{}'"}},
	{"ai2", "smallint[]", []string{"'{1,NULL,-3}'"}},
	{"ai8", "bigint[]", []string{"'{1,NULL,-3}'"}},
	{"af4", "real[]", []string{"'{1.5,NULL}'"}},
	{"af8", "double precision[]", []string{"'{1.5,NULL}'"}},
	{"abool", "boolean[]", []string{"'{t,f,NULL}'"}},
	{"at", "text[]", []string{`'{"a b","q\"uo\\te",NULL,"NULL","",x}'`, "'{}'"}},
	{"avc", "varchar(5)[]", []string{`'{ab,c}'`}},
	{"ach", "char(3)[]", []string{`'{ab,c}'`}},
	{"an", "numeric(6,2)[]", []string{"'{1.5,NULL}'"}},
	{"an_any", "numeric[]", []string{"'{1.5,100}'"}},
	{"au", "uuid[]", []string{"'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"}},
	{"ad", "date[]", []string{`'{2016-06-20}'`}},
	{"atm", "time[]", []string{`'{13:37:03.1}'`}},
	{"ats", "timestamp[]", []string{`'{"2016-06-20 13:37:03.1"}'`}},
	{"atstz", "timestamptz[]", []string{`'{"2016-06-20 13:37:03.1+00"}'`}},
	{"am", "mood[]", []string{`'{sad,"very, happy"}'`}},
	{"ab", "bytea[]", []string{`'{"\\x00ff"}'`}},
	{"aj", "json[]", []string{`array['{"a":1}'::json]`}},
	{"ajb", "jsonb[]", []string{`array['{"a":1}'::jsonb]`}},
	{"aip", "inet[]", []string{`'{10.0.0.1,10.0.0.0/8}'`}},
	{"ar4", "int4range[]", []string{`'{"[1,5)"}'`}},
	{"aci", "citext[]", []string{`'{Ab}'`}},
	{"alt", "ltree[]", []string{`'{a.b}'`}},
	{"aoid", "oid[]", []string{`'{1,2}'`}},
	{"bx", "box", []string{"'(1,1),(0,0)'"}},
	{"ls", "lseg", []string{"'[(1,1),(0,0)]'"}},
	{"pa", "path", []string{"'[(1,1),(0,0)]'", "'((1,1),(0,0))'"}},
	{"pg", "polygon", []string{"'((1,1),(0,0),(1,0))'"}},
	{"ci2", "circle", []string{"'<(1,1),2>'"}},
	{"li", "line", []string{"'{1,2,3}'"}},
	{"plsn", "pg_lsn", []string{"'16/B374D848'"}},
	{"tq", "tsquery", []string{"'a & b'"}},
	{"mr", "int4multirange", []string{"'{[1,5)}'"}},
	{"comp", "pair", []string{"row(1,'x')"}},
	{"amoney", "money[]", []string{"'{1}'"}},
	{"aiv", "interval[]", []string{"'{1 day}'"}},
	{"apt", "point[]", []string{`'{"(1,2)"}'`}},
}

var typeSetup = []string{
	"CREATE EXTENSION hstore", "CREATE EXTENSION citext", "CREATE EXTENSION ltree", "CREATE EXTENSION isn",
	"CREATE TYPE mood AS ENUM ('sad', 'very, happy')", "CREATE DOMAIN price AS numeric(8,2)", "CREATE DOMAIN price2 AS price",
	"CREATE DOMAIN email AS text CHECK (value LIKE '%@%')", "CREATE TYPE pair AS (a int, b text)",
}

// typeTable makes the table of all types.
func typeTable(name string) string {
	var columns []string
	for _, c := range typeColumns {
		columns = append(columns, c.name+" "+c.definition)
	}
	return fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, %s)", name, strings.Join(columns, ", "))
}

// typeRows insert the values, row by row.
func typeRows(name string, from int) []string {
	var out []string
	for i := 0; ; i++ {
		values, any := []string{fmt.Sprint(from + i)}, false
		for _, c := range typeColumns {
			v := "NULL"
			if i < len(c.values) {
				v, any = c.values[i], true
			}
			values = append(values, v)
		}
		out = append(out, fmt.Sprintf("INSERT INTO %s VALUES (%s)", name, strings.Join(values, ", ")))
		if !any { // a row of nulls ends it
			return out
		}
	}
}

// defaults is a table whose columns have defaults of many kinds.
const defaults = `CREATE TABLE defaults (id serial PRIMARY KEY, ident bigint GENERATED BY DEFAULT AS IDENTITY,
	b boolean NOT NULL DEFAULT true, i int DEFAULT 5, i8 bigint NOT NULL DEFAULT -7, f4 real DEFAULT 1.5, f8 double precision NOT NULL DEFAULT 0.1,
	n numeric(8,2) NOT NULL DEFAULT 12.5, n_any numeric DEFAULT 1.25, m money DEFAULT 3.5,
	t text NOT NULL DEFAULT 'it''s', t_null text DEFAULT 'd', v varchar(10) DEFAULT 'abc', c char(4) DEFAULT 'ab', e mood DEFAULT 'sad',
	d date DEFAULT '2020-02-03', ti time DEFAULT '04:05:06', ti3 time(3) NOT NULL DEFAULT '04:05:06.123', tz timetz DEFAULT '04:05:06+02',
	ts timestamp NOT NULL DEFAULT '2020-02-03 04:05:06.123456', ts3 timestamp(3) DEFAULT '2020-02-03 04:05:06.123', tstz timestamptz DEFAULT '2020-02-03 04:05:06+00',
	iv interval DEFAULT '1 day 2 hours', u uuid DEFAULT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', by bytea DEFAULT '\x0102', bi bit(4) DEFAULT B'0101', bi1 bit(1) NOT NULL DEFAULT B'1',
	js json DEFAULT '{"a":1}', jb jsonb NOT NULL DEFAULT '{"a": 1}', x xml DEFAULT '<a/>', ip inet DEFAULT '10.0.0.1', arr int[] DEFAULT '{1,2}', ta text[] NOT NULL DEFAULT '{a}',
	now_ts timestamptz NOT NULL DEFAULT now(), now_null timestamp DEFAULT now(), gen uuid NOT NULL DEFAULT gen_random_uuid(), cur date NOT NULL DEFAULT current_date,
	expr int NOT NULL DEFAULT 1 + 2, f_text text NOT NULL DEFAULT current_user, nn text NOT NULL DEFAULT '', null_default text DEFAULT NULL,
	hs hstore DEFAULT 'a=>1', r int4range DEFAULT '[1,5)', pt point DEFAULT '(1,2)', o oid DEFAULT 7, s2 smallint DEFAULT 3, dm price DEFAULT 1.5)`
