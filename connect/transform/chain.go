package transform

import (
	"errors"

	"github.com/millrace/millrace/plugins/data"
)

// Chain is the transforms of one connector in order, each with its predicate.
// It belongs to one task and is used by one goroutine at a time.
type Chain struct {
	stages []stage
	rec    Record
}

// stage is one transform under its alias.
type stage struct {
	alias, class string
	transform    Transform
	predicate    Predicate // nil for always
	negate       bool
}

// New builds the chain of a connector's config, from the keys "transforms",
// "transforms.*", "predicates" and "predicates.*". A *FatalError lists
// all that is wrong with them, as Validate does. Without transforms the chain
// keeps all records as they are.
func New(config map[string]string, o Options) (*Chain, error) {
	p := parse(config, o.withDefaults())
	if problems := p.problems(); len(problems) > 0 {
		var errs []error
		for _, problem := range problems {
			errs = append(errs, problem)
		}
		return nil, &FatalError{Err: errors.Join(errs...)}
	}
	return &Chain{stages: p.stages}, nil
}

// Len returns the number of transforms.
func (c *Chain) Len() int { return len(c.stages) }

// Apply runs a record through the chain. keep is false if a transform dropped
// it. The record is changed only if it is kept; new rows have memory of
// their own. Original coordinates, offset and position stay. Errors are of type
// *RecordError or *FatalError; the record is then as it was.
func (c *Chain) Apply(rec *data.Record) (keep bool, err error) {
	if len(c.stages) == 0 {
		return true, nil
	}
	r := &c.rec
	r.reset(rec)
	for i := range c.stages {
		s := &c.stages[i]
		r.stage = i
		keep, err := s.apply(r)
		if err != nil {
			return false, classify(s.alias, s.class, err)
		}
		if !keep {
			return false, nil
		}
	}
	if at, err := r.store(rec); err != nil {
		return false, classify(c.stages[at].alias, c.stages[at].class, err)
	}
	return true, nil
}

func (s *stage) apply(r *Record) (bool, error) {
	if s.predicate != nil {
		holds, err := s.predicate.Test(r)
		if err != nil {
			return false, err
		}
		if holds == s.negate {
			return true, nil
		}
	}
	return s.transform.Apply(r)
}
