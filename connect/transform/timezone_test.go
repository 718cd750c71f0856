package transform

import (
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

func TestTimezoneConverter(t *testing.T) {
	named := func(typ data.Type, name string) *data.Schema {
		return data.NewBuilder(typ).Name(name).Optional().MustBuild()
	}
	row := rowSchema(
		data.Field{Name: "z", Schema: named(data.TypeString, "io.debezium.time.ZonedTimestamp")},
		data.Field{Name: "zt", Schema: named(data.TypeString, "io.debezium.time.ZonedTime")},
		data.Field{Name: "us", Schema: named(data.TypeInt64, "io.debezium.time.MicroTimestamp")},
		data.Field{Name: "ts", Schema: data.OptionalTimestampSchema},
		data.Field{Name: "day", Schema: data.OptionalDateSchema},
		data.Field{Name: "n", Schema: data.OptionalInt64Schema},
	)
	env := envelopeOf(row)
	in := structOf(t, row, "2024-01-02T03:04:05.5Z", "03:04:05Z", int64(1704164645000001), int64(1704164645006), int32(7), int64(8))
	all := "Struct{z=2024-01-02T12:04:05.5+09:00,zt=12:04:05+09:00,us=1704132245000001,ts=1704132245006,day=7,n=8}"
	onlyZ := "Struct{z=2024-01-02T12:04:05.5+09:00,zt=03:04:05Z,us=1704164645000001,ts=1704164645006,day=7,n=8}"
	none := data.Text(in)
	for _, tt := range []struct {
		zone, include, exclude, want string
	}{
		{"Asia/Seoul", "", "", all}, {"+09:00", "", "", all}, {"+09:00", "source:t:z", "", onlyZ}, {"+09:00", "topic:topic:z", "", onlyZ},
		{"+09:00", "t:z", "", onlyZ}, {"+09:00", "source:other", "", none}, {"+09:00", "", "source:t", none}, {"+09:00", "", "topic:t", all},
	} {
		props := map[string]string{"converted.timezone": tt.zone, "include.list": tt.include, "exclude.list": tt.exclude}
		rec := baseRecord()
		rec.Value = changeIn(t, env, "u", in, in)
		got := apply(t, "TimezoneConverter", props, rec)
		v := decoded(t, got.Value).(*data.Struct)
		for _, side := range []string{"before", "after"} {
			if text := data.Text(structField(v, side)); text != tt.want {
				t.Errorf("%v: %s is\n%s\nwant\n%s", props, side, text, tt.want)
			}
		}
	}
	rec := baseRecord()
	rec.Value = datum(t, row, in)
	if got := apply(t, "TimezoneConverter", map[string]string{"converted.timezone": "+09:00"}, rec); data.Text(decoded(t, got.Value)) != all {
		t.Errorf("a row without envelope is %s", data.Text(decoded(t, got.Value)))
	}
	rec.Value = datum(t, row, structOf(t, row, "yesterday"))
	if _, err := chainOf(t, "TimezoneConverter", map[string]string{"converted.timezone": "UTC"}).Apply(&rec); err == nil {
		t.Error("text that is no time passes")
	}
	for _, props := range []map[string]string{
		{"converted.timezone": "Nowhere/At_All"}, {"converted.timezone": "+9"}, {"converted.timezone": "Local"},
		{"converted.timezone": "UTC", "include.list": "a", "exclude.list": "b"}, {"converted.timezone": "UTC", "include.list": "source:"},
		{"converted.timezone": "UTC", "include.list": "a:b:c"},
	} {
		if _, err := newChainOf("TimezoneConverter", props); err == nil {
			t.Errorf("%v is accepted", props)
		}
	}
}
