package trial

import (
	"fmt"
	"maps"
	"strings"

	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/data"
)

// Trial is a connector's chain, whole and step by step. It is used by one
// goroutine at a time.
type Trial struct {
	whole *transform.Chain
	steps []step
}

// step is a chain of one transform.
type step struct {
	alias, class string
	chain        *transform.Chain
}

// New builds the chain of a connector config. The error is transform.New's.
func New(config map[string]string, o transform.Options) (*Trial, error) {
	whole, err := transform.New(config, o)
	if err != nil {
		return nil, err
	}
	t := &Trial{whole: whole}
	for alias := range strings.SplitSeq(config["transforms"], ",") {
		if alias = strings.TrimSpace(alias); alias == "" {
			continue
		}
		one := maps.Clone(config)
		one["transforms"] = alias
		chain, err := transform.New(one, o)
		if err != nil {
			return nil, err
		}
		t.steps = append(t.steps, step{alias, config["transforms."+alias+".type"], chain})
	}
	return t, nil
}

// Apply runs a record through the whole chain, as a task would. keep is false
// if it was dropped.
func (t *Trial) Apply(r *data.Record) (keep bool, err error) { return t.whole.Apply(r) }

// Outcome is what one step made of a record.
type Outcome struct {
	Alias, Class string
	Record       *data.Record // nil if the step dropped it, or failed
	Err          error
	Changed      bool
}

// Steps runs a record through the steps one after the other, and ends with the
// first that drops it or fails. r is left as it was.
func (t *Trial) Steps(r data.Record) ([]Outcome, error) {
	before, err := AppendRecord(nil, &r)
	if err != nil {
		return nil, err
	}
	var out []Outcome
	for _, s := range t.steps {
		next := r
		keep, err := s.chain.Apply(&next)
		o := Outcome{Alias: s.alias, Class: s.class, Err: err}
		if err != nil || !keep {
			return append(out, o), nil
		}
		after, err := AppendRecord(nil, &next)
		if err != nil {
			return nil, fmt.Errorf("transforms.%s: %w", s.alias, err)
		}
		o.Record, o.Changed = &next, string(after) != string(before)
		out = append(out, o)
		r, before = next, after
	}
	return out, nil
}
