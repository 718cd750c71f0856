package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

// text is a schema of a usual size that differs by its name.
func text(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"type":"record","name":"Order%d","namespace":"shop.v1","fields":[`, n)
	for i := range 20 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"field_%02d","type":["null","string"],"default":null}`, i)
	}
	b.WriteString("]}")
	return b.String()
}

func register(addr, subject, schema string) (int, error) {
	body, err := json.Marshal(map[string]string{"schema": schema})
	if err != nil {
		return 0, err
	}
	resp, err := http.Post("http://"+addr+"/subjects/"+subject+"/versions", "application/vnd.schemaregistry.v1+json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var out struct {
		ID      int
		Message string
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("register: HTTP %d %s: %w", resp.StatusCode, out.Message, err)
	}
	return out.ID, nil
}

// lookups asks for one id on kept connections. The client writes bytes and
// reads bytes: it shares the machine's cores with what is measured.
func lookups(ctx context.Context, o options, n *harness.Node, r *harness.Report) error {
	id, err := register(n.Registry, "lookup-value", text(0))
	if err != nil {
		return err
	}
	return r.Twice("look-ups by id", fmt.Sprintf("%d kept connections, one request at a time on each", o.connections), "1/s", func() (float64, error) {
		return rate(ctx, o, func(ctx context.Context, count *atomic.Int64) error {
			return ask(ctx, n.Registry, "GET /schemas/ids/"+strconv.Itoa(id)+" HTTP/1.1\r\nHost: r\r\n\r\n", count)
		})
	})
}

// ask sends one request again and again, and checks that each answer is 200.
func ask(ctx context.Context, addr, request string, count *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 16<<10)
	raw := []byte(request)
	for ctx.Err() == nil {
		if _, err := conn.Write(raw); err != nil {
			return err
		}
		length, status := -1, ""
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return err
			}
			if status == "" {
				status = string(line[9:12])
			}
			if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
					return err
				}
			}
			if len(line) <= 2 {
				break
			}
		}
		if status != "200" || length < 0 {
			return fmt.Errorf("answered with status %s and length %d", status, length)
		}
		if _, err := in.Discard(length); err != nil {
			return err
		}
		count.Add(1)
	}
	return nil
}

// rate runs f on each connection and returns how often per second it counted.
func rate(ctx context.Context, o options, f func(context.Context, *atomic.Int64) error) (float64, error) {
	var count atomic.Int64
	ctx, stop := context.WithTimeout(ctx, o.duration)
	defer stop()
	errs := make([]error, o.connections)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range o.connections {
		wg.Go(func() { errs[i] = f(ctx, &count) })
	}
	wg.Wait()
	return float64(count.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// registrations registers schemas that differ, each under a subject of its own.
func registrations(ctx context.Context, o options, n *harness.Node, r *harness.Report) error {
	var next atomic.Int64
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = o.connections
	return r.Twice("registrations", fmt.Sprintf("%d clients, a new schema and subject each time", o.connections), "1/s", func() (float64, error) {
		return rate(ctx, o, func(ctx context.Context, count *atomic.Int64) error {
			for ctx.Err() == nil {
				i := int(next.Add(1))
				if _, err := register(n.Registry, "s"+strconv.Itoa(i)+"-value", text(i)); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	})
}

// fill writes versions to the topic as a registry would, ten to a subject.
func fill(ctx context.Context, kafka string, versions int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.DefaultProduceTopic("_schemas"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(versions+1))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for i := range versions {
		subject, version := "s"+strconv.Itoa(i/10)+"-value", i%10+1
		key := fmt.Sprintf(`{"keytype":"SCHEMA","subject":%q,"version":%d,"magic":1}`, subject, version)
		value, err := json.Marshal(map[string]any{"subject": subject, "version": version, "id": 100_000 + i, "schema": text(i), "deleted": false})
		if err != nil {
			return err
		}
		client.Produce(ctx, &kgo.Record{Key: []byte(key), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// hasAll checks that the last version is there.
func hasAll(addr string, versions int) error {
	resp, err := http.Get(fmt.Sprintf("http://%s/subjects/s%d-value/versions/10", addr, (versions-1)/10))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the last version: HTTP %d, %w", resp.StatusCode, err)
	}
	return nil
}
