package postgres

import (
	"crypto/rand"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// contextHeaders say which connector made a record, in which run of its task.
func contextHeaders(prefix string) ([]data.Header, error) {
	var id [16]byte
	// It never fails.
	_, _ = rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	run := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	var out []data.Header
	for _, h := range []struct{ name, value string }{
		{"connectorLogicalName", prefix}, {"taskId", "0"}, {"connectorName", "postgresql"}, {"runId", run},
	} {
		d, err := data.NewDatum(data.StringSchema, h.value)
		if err != nil {
			return nil, err
		}
		out = append(out, data.Header{Name: "__debezium.context." + h.name, Value: d})
	}
	return out, nil
}
