package filestream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdktest"
)

func TestSourceConformance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in.txt")
	for i := range 30 {
		appendFile(t, file, fmt.Sprintf("line %d\n", i))
	}
	sdktest.TestSource(t, sdktest.Source{
		Connector: Connectors()[0],
		Config: func(testing.TB) map[string]string {
			return map[string]string{"name": "in", "connector.class": "FileStreamSource", "file": file, "topic": "lines", "batch.size": "7"}
		},
		Records:    30,
		BadConfigs: map[string]map[string]string{"no file": {"topic": "t"}, "no topic": {"file": file}},
		Text:       func(r sdktest.Record) string { v, _ := r.Value.Value(); return fmt.Sprint(v) }, // the time of reading differs
	})
}

func TestSinkConformance(t *testing.T) {
	var records []data.Record
	var want []string
	for i := range 30 {
		text := fmt.Sprintf("line %d", i)
		d, err := data.NewDatum(data.StringSchema, text)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, data.Record{Topic: "t", Value: d, Offset: int64(i), OriginalTopic: "t", OriginalOffset: int64(i)})
		want = append(want, text)
	}
	sdktest.TestSink(t, sdktest.Sink{
		Connector: Connectors()[1],
		Config: func(tb testing.TB) map[string]string {
			return map[string]string{"name": "out", "connector.class": "FileStreamSink", "topics": "t", "file": filepath.Join(tb.TempDir(), "out.txt")}
		},
		Records: records,
		Read: func(tb testing.TB, config map[string]string) []string {
			b, err := os.ReadFile(config["file"])
			if err != nil {
				tb.Fatal(err)
			}
			lines := strings.SplitAfter(string(b), "\n") // the last is empty
			for i := range lines {
				lines[i] = strings.TrimSuffix(lines[i], "\n")
			}
			return lines[:len(lines)-1]
		},
		Want:       want,
		BadConfigs: map[string]map[string]string{"no file": {"topics": "t"}},
	})
}
