// Package rotation decides when the open files of a topic's partition are to be
// committed: the state machine of Confluent's TopicPartitionWriter.
//
// For each record the caller asks Before, commits all files and calls Rotated
// when there is a reason, writes the record, calls Wrote, and again commits if
// there is a reason. On every put, records or none, it asks Due in the end. All
// time comes from the caller, and nothing is done here but counting: equal
// records in equal order rotate at equal places, which is what exactly-once
// delivery rests on, as long as no schedule is configured.
package rotation

import (
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// Reason says why files are committed.
type Reason int

// The reasons. None is not to commit.
const (
	None      Reason = iota
	Size             // flush.size records
	Interval         // rotate.interval.ms by the records' time
	Partition        // another directory (rotate.file.on.partition.change)
	Schedule         // rotate.schedule.interval.ms by the clock
	Schema           // a schema that does not go into the open file
	Files            // too many open files
)

// String returns the reason's name, for logs and figures.
func (r Reason) String() string {
	return [...]string{"none", "size", "interval", "partition", "schedule", "schema", "files"}[r]
}

// Config is what a State is made of.
type Config struct {
	FlushSize         int           // records between two commits
	Interval          time.Duration // rotate.interval.ms; 0 or less is never
	OnPartitionChange bool          // together with Interval
	Schedule          time.Duration // rotate.schedule.interval.ms; 0 or less is never
	Zone              *time.Location
	Compatibility     Compatibility
	// MaxFiles bounds the files that are open at a time; 0 is no bound.
	MaxFiles int
}

// Input is what matters of a record.
type Input struct {
	Directory string
	Millis    int64 // the record's time, if Timed
	Timed     bool
	Schema    *data.Schema // nil without one
	// Tombstone is a record that goes to the directory of null values, whatever
	// its schema: going there and back is no change of directory.
	Tombstone bool
}

// State is one partition's. It is used by one goroutine.
type State struct {
	cfg     Config
	count   int
	base    int64 // time of the first record since the last commit
	timed   bool  // base is set
	last    int64
	dir     string // of the last record that is no tombstone
	hasDir  bool
	schemas map[string]*data.Schema // of the open files, by directory
	next    time.Time               // of the schedule
}

// New starts with nothing open.
func New(cfg Config, now time.Time) *State {
	s := &State{cfg: cfg, schemas: make(map[string]*data.Schema)}
	s.schedule(now)
	return s
}

// Open reports whether a directory has an open file, and the schema of it.
func (s *State) Open(dir string) (*data.Schema, bool) {
	schema, ok := s.schemas[dir]
	return schema, ok
}

// Count is the number of records since the last commit, in all directories.
func (s *State) Count() int { return s.count }

// Before says whether to commit before a record is written. An error is the
// record's own: it cannot be brought together with the file's schema at all.
func (s *State) Before(now time.Time, in Input) (Reason, error) {
	schema, open := s.schemas[in.Directory]
	if open && !in.Tombstone && (schema == nil) != (in.Schema == nil) {
		if s.cfg.Compatibility != NoCompatibility {
			return None, errMixed
		}
		return Schema, nil
	}
	if s.count > 0 {
		if r := s.byTime(now, in); r != None {
			return r, nil
		}
	}
	if open && !in.Tombstone && in.Schema != nil && schema != in.Schema {
		changes, err := s.cfg.Compatibility.changes(schema, in.Schema)
		if err != nil {
			return None, err
		}
		if changes && s.count > 0 {
			return Schema, nil
		}
	}
	if s.cfg.MaxFiles > 0 && !open && len(s.schemas) >= s.cfg.MaxFiles {
		return Files, nil
	}
	return None, nil
}

func (s *State) byTime(now time.Time, in Input) Reason {
	if s.cfg.Interval > 0 && in.Timed {
		if s.timed && in.Millis-s.base >= s.cfg.Interval.Milliseconds() {
			return Interval
		}
		if s.cfg.OnPartitionChange && s.hasDir && !in.Tombstone && in.Directory != s.dir {
			return Partition
		}
	}
	if s.overdue(now) {
		return Schedule
	}
	return None
}

// Wrote counts a record that was written, and says whether to commit after it.
//
// Differs from Confluent's: a record that was refused does not count as the
// first of a file, so that the files are the same when it is read again.
func (s *State) Wrote(in Input) Reason {
	if _, open := s.schemas[in.Directory]; !open {
		s.schemas[in.Directory] = in.Schema
	}
	s.count++
	if in.Timed {
		if !s.timed {
			s.base, s.timed = in.Millis, true
		}
		s.last = in.Millis
	}
	if !in.Tombstone {
		s.dir, s.hasDir = in.Directory, true
	}
	if s.count >= s.cfg.FlushSize {
		return Size
	}
	return None
}

// Due says whether to commit although no record comes: by the schedule. When
// there is nothing to commit it only moves the schedule on.
func (s *State) Due(now time.Time) Reason {
	if !s.overdue(now) {
		return None
	}
	if s.count == 0 {
		s.schedule(now)
		return None
	}
	return Schedule
}

// NextDue returns when the schedule asks for the next commit, the zero time
// without one.
func (s *State) NextDue() time.Time { return s.next }

// Rotated says that all files are to be committed and none is open any more.
func (s *State) Rotated(now time.Time) {
	clear(s.schemas)
	s.count, s.timed, s.hasDir, s.dir = 0, false, false, ""
	if s.overdue(now) {
		s.schedule(now)
	}
}

func (s *State) overdue(now time.Time) bool { return !s.next.IsZero() && !now.Before(s.next) }

// schedule sets the next time: midnight plus a multiple of the interval, the
// last of the day cut off by the next midnight, whatever the clocks do between.
func (s *State) schedule(now time.Time) {
	if s.cfg.Schedule <= 0 {
		return
	}
	local := now.In(s.cfg.Zone)
	start := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, s.cfg.Zone)
	end := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, s.cfg.Zone)
	slot := now.Sub(start)/s.cfg.Schedule + 1
	s.next = start.Add(min(slot*s.cfg.Schedule, end.Sub(start)))
}
