package jdbc

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

// progress is where a partition stands in the table of offsets. Its epoch
// grows each time that a task takes it: only the task that knows the present
// epoch may write.
type progress struct{ next, epoch int64 }

// errFenced ends a task whose partition another one has taken.
var errFenced = errors.New("another task has taken over a partition, and this one may write no more of it: restart this task if it should have it")

// makeOffsets makes the table of offsets unless it is there. Checking first
// lets a user without the right to create tables use one that somebody made.
func (c *config) makeOffsets(ctx context.Context, conn *pgconn.PgConn) error {
	there := func() (bool, error) {
		rows, _, err := query(ctx, conn, "SELECT to_regclass($1::text) IS NOT NULL", []byte(c.offsets))
		return err == nil && string(rows[0][0]) == "t", err
	}
	ok, err := there()
	if err != nil || ok {
		return classify(err)
	}
	ddl := "CREATE TABLE IF NOT EXISTS " + c.offsets +
		" (connector text, topic text, partition int, next_offset bigint NOT NULL, epoch bigint NOT NULL, PRIMARY KEY (connector, topic, partition))"
	if err := exec(ctx, conn, ddl); err != nil {
		if ok, e := there(); e == nil && ok {
			return nil // made by another task meanwhile
		}
		err = classify(fmt.Errorf("make the table of offsets %s: %w", c.offsets, err))
		if sqlState(err) == "42501" {
			return sdk.Fatal(fmt.Errorf("%w; or make the table as the README says, or set millrace.exactly.once=false", err))
		}
		return err
	}
	return nil
}

// claim takes a partition: whoever had it can write no more. A transaction of
// theirs that is under way is waited for.
func (t *task) claim(ctx context.Context, tp sdk.TopicPartition) (*progress, error) {
	sql := "INSERT INTO " + t.cfg.offsets + " AS o VALUES ($1, $2, $3, -1, 1)" +
		" ON CONFLICT (connector, topic, partition) DO UPDATE SET epoch = o.epoch + 1 RETURNING next_offset, epoch"
	rows, _, err := query(ctx, t.conn, sql, []byte(t.cfg.name), []byte(tp.Topic), number(int64(tp.Partition)))
	if err != nil {
		return nil, classify(fmt.Errorf("take %s-%d in %s: %w", tp.Topic, tp.Partition, t.cfg.offsets, err))
	}
	return readProgress(rows)
}

// reclaim reads where a partition stands after a lost connection. Its last
// transaction, if it may still come about, holds the lock that this waits for:
// a commit is sent only after the offsets were moved.
func (t *task) reclaim(ctx context.Context, tp sdk.TopicPartition, p *progress) error {
	sql := "SELECT next_offset, epoch FROM " + t.cfg.offsets + " WHERE connector = $1 AND topic = $2 AND partition = $3 FOR UPDATE"
	rows, _, err := query(ctx, t.conn, sql, []byte(t.cfg.name), []byte(tp.Topic), number(int64(tp.Partition)))
	if err != nil {
		return classify(fmt.Errorf("read where %s-%d stands in %s: %w", tp.Topic, tp.Partition, t.cfg.offsets, err))
	}
	now := &progress{epoch: -1} // no line: somebody removed it
	if len(rows) > 0 {
		if now, err = readProgress(rows); err != nil {
			return err
		}
	}
	if now.epoch != p.epoch {
		return sdk.Fatal(fmt.Errorf("%s-%d: %w", tp.Topic, tp.Partition, errFenced))
	}
	*p = *now
	return nil
}

func readProgress(rows [][][]byte) (*progress, error) {
	if len(rows) != 1 || len(rows[0]) != 2 {
		return nil, sdk.Fatal(errors.New("the table of offsets does not have the columns that the README names"))
	}
	next, err := strconv.ParseInt(string(rows[0][0]), 10, 64)
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("next_offset: %w", err))
	}
	epoch, err := strconv.ParseInt(string(rows[0][1]), 10, 64)
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("epoch: %w", err))
	}
	return &progress{next, epoch}, nil
}

// storeOffsets begins the transaction that writes rows, and moves their
// partitions in it. That comes first, so that whoever takes a partition waits
// for the rest.
func (t *task) storeOffsets(ctx context.Context, next sdk.Offsets) error {
	columns := make([]textArray, 4)
	for tp, n := range next {
		columns[0].add([]byte(tp.Topic), false)
		columns[1].add(number(int64(tp.Partition)), false)
		columns[2].add(number(n), false)
		columns[3].add(number(t.progress[tp].epoch), false)
	}
	sql := "UPDATE " + t.cfg.offsets + " o SET next_offset = u.n" +
		" FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS u(t, p, n, e)" +
		" WHERE o.connector = $1 AND o.topic = u.t AND o.partition = u.p AND o.epoch = u.e"
	both := &pgconn.Batch{}
	both.ExecParams("BEGIN", nil, nil, nil, nil)
	both.ExecParams(sql, [][]byte{[]byte(t.cfg.name), columns[0].bytes(), columns[1].bytes(), columns[2].bytes(), columns[3].bytes()}, nil, nil, nil)
	results, err := t.conn.ExecBatch(ctx, both).ReadAll()
	if err != nil {
		return fmt.Errorf("store offsets in %s: %w", t.cfg.offsets, err)
	}
	if n := results[len(results)-1].CommandTag.RowsAffected(); n != int64(len(next)) {
		return sdk.Fatal(errFenced)
	}
	return nil
}

// alterOffsets sets offsets for a connector that is stopped; -1 removes one.
func (c *config) alterOffsets(ctx context.Context, conn *pgconn.PgConn, changes sdk.Offsets) error {
	if err := exec(ctx, conn, "BEGIN"); err != nil {
		return classify(err)
	}
	for tp, o := range changes {
		sql := "INSERT INTO " + c.offsets + " AS o VALUES ($1, $2, $3, $4, 1)" +
			" ON CONFLICT (connector, topic, partition) DO UPDATE SET next_offset = excluded.next_offset, epoch = o.epoch + 1"
		if _, _, err := query(ctx, conn, sql, []byte(c.name), []byte(tp.Topic), number(int64(tp.Partition)), number(o)); err != nil {
			return classify(err) // closing the connection rolls back
		}
	}
	return classify(exec(ctx, conn, "COMMIT"))
}

func number(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
