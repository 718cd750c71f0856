package transform

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

func TestOpenLineage(t *testing.T) {
	var log bytes.Buffer
	if _, err := New(map[string]string{"transforms": "l", "transforms.l.type": "io.debezium.transforms.openlineage.OpenLineage"},
		Options{Kind: Source, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "lineage events are not sent"); n != 1 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	rec := data.Record{Topic: "t", Key: datum(t, nil, "k"), Value: datum(t, nil, map[string]any{"a": "b"})}
	got := apply(t, "OpenLineage", nil, rec)
	if got.Topic != "t" {
		t.Errorf("topic became %s", got.Topic)
	}
	sameDatum(t, "key", got.Key, rec.Key)
	sameDatum(t, "value", got.Value, rec.Value)
}
