package commitlog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// Names of the files beside the segments.
const (
	checkpointFile = "log-checkpoint"
	epochFile      = "leader-epoch-checkpoint"
	metadataFile   = "partition.metadata"
)

// checkpoint is what a log remembers of itself over a restart. Kafka keeps
// these per directory of logs; one file for each log lets them be written
// when that log has changed, and moved with it.
type checkpoint struct {
	recoveryPoint    int64 // everything below this offset is durable and indexed,
	recoverySegment  int64 // which is in the segment with this base offset
	recoveryPosition int64 // below this position
	logStart         int64
	highWatermark    int64
	clean            int64 // 1 if the last segment's indexes were written up to that position
	firstDirty       int64 // compaction has cleaned what is below; Kafka's cleaner-offset-checkpoint
}

// cleanerOffset is the entry that checkpoints written before compaction lack.
const cleanerOffset = "cleaner-offset"

// fields names the checkpoint's values in the order of the file.
func (c *checkpoint) fields() map[string]*int64 {
	return map[string]*int64{
		"recovery-point":    &c.recoveryPoint,
		"recovery-segment":  &c.recoverySegment,
		"recovery-position": &c.recoveryPosition,
		"log-start-offset":  &c.logStart,
		"high-watermark":    &c.highWatermark,
		"clean-shutdown":    &c.clean,
		cleanerOffset:       &c.firstDirty,
	}
}

// encode writes the shape of Kafka's checkpoint files: version, count, and
// one line for each entry.
func (c checkpoint) encode() []byte {
	return fmt.Appendf(nil, "0\n7\nrecovery-point %d\nrecovery-segment %d\nrecovery-position %d\n"+
		"log-start-offset %d\nhigh-watermark %d\nclean-shutdown %d\n"+
		cleanerOffset+" %d\n",
		c.recoveryPoint, c.recoverySegment, c.recoveryPosition, c.logStart, c.highWatermark, c.clean, c.firstDirty)
}

func parseCheckpoint(b []byte) (checkpoint, error) {
	var c checkpoint
	entries, err := checkpointEntries(b)
	if err != nil {
		return c, err
	}
	fields := c.fields()
	for _, e := range entries {
		at, ok := fields[e[0]]
		if !ok {
			return checkpoint{}, fmt.Errorf("unknown or repeated entry %q", e[0])
		}
		delete(fields, e[0])
		if *at, err = strconv.ParseInt(e[1], 10, 64); err != nil || *at < 0 {
			return checkpoint{}, fmt.Errorf("entry %s %q is not an offset", e[0], e[1])
		}
	}
	delete(fields, cleanerOffset)
	if len(fields) > 0 {
		return checkpoint{}, errors.New("entries are missing")
	}
	return c, nil
}

// checkpointEntries splits a checkpoint file of version 0 into its entries,
// two words each, and checks their count.
func checkpointEntries(b []byte) ([][2]string, error) {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) < 2 || lines[0] != "0" {
		return nil, errors.New("not a checkpoint of version 0")
	}
	if n, err := strconv.Atoi(lines[1]); err != nil || n != len(lines)-2 {
		return nil, fmt.Errorf("claims %q entries, has %d", lines[1], len(lines)-2)
	}
	entries := make([][2]string, 0, len(lines)-2)
	for _, line := range lines[2:] {
		key, value, ok := strings.Cut(line, " ")
		if !ok {
			return nil, fmt.Errorf("malformed entry %q", line)
		}
		entries = append(entries, [2]string{key, value})
	}
	return entries, nil
}

// loadCheckpoint returns the zero checkpoint, which makes recovery look at
// everything, if there is none.
func loadCheckpoint(fsys FS, dir string) (checkpoint, error) {
	path := filepath.Join(dir, checkpointFile)
	b, err := readFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, storage("read", path, err)
	}
	c, err := parseCheckpoint(b)
	if err != nil {
		return c, fmt.Errorf("parse %s: %w", path, err)
	}
	return c, nil
}

// checkTopicID compares the id in partition.metadata with the one given, and
// writes the file if there is none.
func checkTopicID(fsys FS, dir string, id [16]byte) error {
	if id == [16]byte{} {
		return nil
	}
	path := filepath.Join(dir, metadataFile)
	b, err := readFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		text := "version: 0\ntopic_id: " + base64.RawURLEncoding.EncodeToString(id[:]) + "\n"
		return replaceFile(fsys, path, []byte(text))
	}
	if err != nil {
		return storage("read", path, err)
	}
	got, err := parseTopicID(b)
	if err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	if got != id {
		return fmt.Errorf("%s has topic id %s, want %s: %w", dir,
			base64.RawURLEncoding.EncodeToString(got[:]), base64.RawURLEncoding.EncodeToString(id[:]), ErrTopicID)
	}
	return nil
}

func parseTopicID(b []byte) (id [16]byte, err error) {
	version, rest, _ := bytes.Cut(b, []byte("\n"))
	text, ok := bytes.CutPrefix(bytes.TrimSpace(rest), []byte("topic_id: "))
	if string(version) != "version: 0" || !ok {
		return id, errors.New("not partition metadata of version 0")
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("topic id %q is not a base64url uuid", text)
	}
	return [16]byte(raw), nil
}
