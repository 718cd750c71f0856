package main

import (
	"context"
	enc "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// schemas sends a request to the registry and decodes the answer.
func (s *server) schemas(method, path, body string, out any) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addrs.Registry+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
	}
	return resp.StatusCode
}

// Rows pass as Avro with a schema that the registry knows, and come back as
// what they were; the registry of the same process needs not be named.
func TestAvroRowsThroughTheRegistry(t *testing.T) {
	pg := pgtest.Start(t)
	address := pg.URL(pg.Database(t))
	db, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	for _, sql := range []string{"CREATE TABLE orders (id int PRIMARY KEY, n int, item text)", "INSERT INTO orders VALUES (1, 10, 'lamp')"} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s := startServer(t)
	avro := "io.confluent.connect.avro.AvroConverter"
	out := filepath.Join(t.TempDir(), "out.txt")
	cfg := cdcConfig(t, address, map[string]string{"key.converter": avro, "value.converter": avro})
	for k := range cfg {
		if strings.Contains(k, "schemas.enable") {
			delete(cfg, k)
		}
	}
	s.create("cdc", cfg)
	s.create("file", map[string]string{"connector.class": "FileStreamSink", "file": out, "topics": "shop.public.orders", "key.converter": avro, "value.converter": avro})
	eventually(t, "the row in the file", func() error {
		raw, err := os.ReadFile(out)
		if err == nil && !strings.Contains(string(raw), "after=Struct{id=1,n=10,item=lamp}") {
			err = fmt.Errorf("file holds %q", raw)
		}
		return err
	})
	c := s.client(kgo.ConsumeTopics("shop.public.orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	fetches := c.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	value := fetches.Records()[0].Value
	if value[0] != 0 {
		t.Fatalf("value begins with %x, want the magic byte 0", value[:5])
	}
	var schema struct{ Schema string }
	if code := s.schemas(http.MethodGet, fmt.Sprintf("/schemas/ids/%d", enc.BigEndian.Uint32(value[1:])), "", &schema); code != http.StatusOK {
		t.Fatalf("schema of the value: HTTP %d", code)
	}
	if !strings.Contains(schema.Schema, `"name":"Envelope","namespace":"shop.public.orders"`) {
		t.Errorf("schema %s is not Debezium's envelope", schema.Schema)
	}
	var subjects []string
	s.schemas(http.MethodGet, "/subjects", "", &subjects)
	if fmt.Sprint(subjects) != "[shop.public.orders-key shop.public.orders-value]" {
		t.Errorf("subjects %v", subjects)
	}
}

// What the registry acknowledged is there after kill -9, under the same id.
func TestKilledRegistryKeepsItsIDs(t *testing.T) {
	s := startServer(t)
	ids := map[string]int{}
	for i := range 20 {
		subject := fmt.Sprintf("s%d-value", i)
		var got struct{ ID int }
		body := fmt.Sprintf(`{"schema":"{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[]}"}`, i)
		if code := s.schemas(http.MethodPost, "/subjects/"+subject+"/versions", body, &got); code != http.StatusOK {
			t.Fatalf("register %s: HTTP %d", subject, code)
		}
		ids[subject] = got.ID
	}
	s.kill()
	s.restart()
	for subject, id := range ids {
		var got struct{ ID int }
		if code := s.schemas(http.MethodGet, "/subjects/"+subject+"/versions/latest", "", &got); code != http.StatusOK || got.ID != id {
			t.Errorf("%s: HTTP %d, id %d; want id %d", subject, code, got.ID, id)
		}
	}
}

func TestRolesApart(t *testing.T) {
	broker := startServer(t, "--roles", "broker")
	if broker.addrs.Connect != "" || broker.addrs.Registry != "" || broker.addrs.Kafka == "" {
		t.Errorf("addresses %+v, want those of a broker", broker.addrs)
	}
	rest := startServer(t, "--roles", "connect,registry", "--bootstrap-servers", broker.addrs.Kafka)
	if rest.addrs.Connect == "" || rest.addrs.Registry == "" || rest.addrs.Kafka != "" {
		t.Errorf("addresses %+v, want those of Connect and the registry", rest.addrs)
	}
	in := filepath.Join(t.TempDir(), "in.txt")
	if err := os.WriteFile(in, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rest.create("src", map[string]string{"connector.class": "FileStreamSource", "file": in, "topic": "lines"})
	rest.awaitTask("src", connector.Running)
	if got := broker.values("lines", 1); got[0] != "one" {
		t.Errorf("topic holds %v", got)
	}
}

// Of two registry processes one is killed. The other writes, gives ids that
// were never given, and has all that was acknowledged.
func TestKilledPrimary(t *testing.T) {
	log := startServer(t, "--roles", "broker")
	pair := []*server{
		startServer(t, "--roles", "registry", "--bootstrap-servers", log.addrs.Kafka),
		startServer(t, "--roles", "registry", "--bootstrap-servers", log.addrs.Kafka),
	}
	ids := map[int]string{}
	register := func(s *server, name string) error {
		var got struct {
			ID      int
			Message string
		}
		body := fmt.Sprintf(`{"schema":"{\"type\":\"fixed\",\"name\":\"%s\",\"size\":1}"}`, name)
		if code := s.schemas(http.MethodPost, "/subjects/"+name+"/versions", body, &got); code != http.StatusOK {
			return fmt.Errorf("register %s: HTTP %d %s", name, code, got.Message)
		}
		if before, taken := ids[got.ID]; taken {
			t.Errorf("id %d stands for %s and %s", got.ID, before, name)
		}
		ids[got.ID] = name
		return nil
	}
	for n := range 10 {
		if err := register(pair[n%2], fmt.Sprintf("A%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	// Which of them is primary is not told: it is killed once at least.
	for i := range 2 {
		pair[0].kill()
		n := 0
		eventually(t, "a registration at the other process", func() error {
			n++
			return register(pair[1], fmt.Sprintf("B%d_%d", i, n))
		})
		pair = []*server{pair[1], startServer(t, "--roles", "registry", "--bootstrap-servers", log.addrs.Kafka)}
	}
	for id, name := range ids {
		for _, s := range pair {
			var got struct{ Schema string }
			if code := s.schemas(http.MethodGet, fmt.Sprintf("/schemas/ids/%d", id), "", &got); code != http.StatusOK || !strings.Contains(got.Schema, `"`+name+`"`) {
				t.Errorf("id %d: HTTP %d, %s; want %s", id, code, got.Schema, name)
			}
		}
	}
}
