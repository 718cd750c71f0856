package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

// fileLines is how many lines the file of a measurement has.
const fileLines = 2_000_000

// benchFile measures the Connect path with the cheapest source there is: lines
// of a file, through a plugin process, the boundary, the converter and the
// producer into the log.
func benchFile(ctx context.Context, o options, r *harness.Report) error {
	dir, err := os.MkdirTemp("", "millrace-bench-file-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "lines.txt")
	if err := writeLines(path, fileLines); err != nil {
		return err
	}
	for _, v := range []struct {
		name, settings string
		config         map[string]string
	}{
		{"file to log", "exactly once", nil},
		{"file to log, polls", "exactly once, a transaction for each poll of 5000 lines", map[string]string{"transaction.boundary": "poll"}},
		{"file to log, plain", "at least once, producer not idempotent", map[string]string{"producer.override.enable.idempotence": "false"}},
	} {
		settings := fmt.Sprintf("FileStreamSource, %d lines of 100 bytes, StringConverter, one task, counted in the topic; %s", fileLines, v.settings)
		if err := r.Twice(v.name, settings, "records/s", func() (float64, error) { return fileToLog(ctx, o, path, v.config) }); err != nil {
			return err
		}
	}
	return nil
}

// fileToLog has a connector read the file, with further settings, and returns
// how many records a second arrive.
func fileToLog(ctx context.Context, o options, path string, more map[string]string) (rate float64, err error) {
	err = harness.WithNode(ctx, o.bin, "", func(n *harness.Node) error {
		config := map[string]string{
			"connector.class": "FileStreamSource", "file": path, "topic": "lines", "batch.size": "5000",
			"value.converter": "org.apache.kafka.connect.storage.StringConverter",
		}
		maps.Copy(config, more)
		began := time.Now()
		if err := n.CreateConnector(ctx, "lines", config); err != nil {
			return err
		}
		if err := awaitRecords(ctx, n, "lines", fileLines, "lines"); err != nil {
			return err
		}
		rate = fileLines / time.Since(began).Seconds()
		return nil
	})
	return rate, err
}

func writeLines(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range n {
		if _, err := fmt.Fprintf(w, "%099d\n", i); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// awaitTimeout bounds the wait for a connector's records.
const awaitTimeout = 5 * time.Minute

// awaitRecords waits until a topic holds so many records, by its end offsets.
// Markers of transactions count with them: one for each transaction, which are
// some hundreds where a source writes millions of records.
func awaitRecords(ctx context.Context, n *harness.Node, topic string, want int64, connector string) error {
	// A client remembers for seconds that a topic did not exist: that would be
	// measured, not the connector.
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	deadline := time.Now().Add(awaitTimeout)
	for {
		var got int64
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		for _, e := range ends[topic] {
			if e.Err == nil {
				got += e.Offset
			}
		}
		if got >= want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d records in topic %s after %s; connector: %s", got, want, topic, awaitTimeout, n.Status(ctx, connector))
		}
		time.Sleep(5 * time.Millisecond)
	}
}
