package connect

import (
	"context"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/trial"
	"github.com/millrace/millrace/plugins/data"
)

// TryTransforms runs a connector's transforms over samples. It creates nothing.
func (c *Connect) TryTransforms(ctx context.Context, r connector.TrialRequest) ([]connector.TrialRecord, error) {
	return ask(c, func(p *parts) ([]connector.TrialRecord, error) {
		t, err := p.worker.Trial(r.Config)
		if err != nil {
			return nil, err
		}
		samples, err := samplesOf(ctx, p, r)
		if err != nil {
			return nil, err
		}
		out := make([]connector.TrialRecord, 0, len(samples))
		for _, s := range samples {
			one, err := tryOne(t, s)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		return out, nil
	})
}

func samplesOf(ctx context.Context, p *parts, r connector.TrialRequest) ([]data.Record, error) {
	if r.Topic != "" && len(r.Records) == 0 {
		return p.worker.Samples(ctx, r.Config, r.Topic, r.Last)
	}
	if r.Topic != "" || len(r.Records) == 0 {
		return nil, connector.Errorf(connector.BadRequest, "name either records, or a topic and how many of its last records")
	}
	var out []data.Record
	for i, raw := range r.Records {
		rec, err := trial.ParseRecord(raw)
		if err != nil {
			return nil, connector.Errorf(connector.BadRequest, "records[%d]: %v", i, err)
		}
		out = append(out, rec)
	}
	return out, nil
}

func tryOne(t *trial.Trial, r data.Record) (connector.TrialRecord, error) {
	before, err := trial.AppendRecord(nil, &r)
	if err != nil {
		return connector.TrialRecord{}, err
	}
	steps, err := t.Steps(r)
	if err != nil {
		return connector.TrialRecord{}, err
	}
	out := connector.TrialRecord{Before: before, After: before, Steps: []connector.TrialStep{}}
	for _, s := range steps {
		step := connector.TrialStep{Transform: s.Alias, Class: s.Class, Outcome: "unchanged"}
		switch {
		case s.Err != nil:
			step.Outcome, step.Error, out.After = "failed", s.Err.Error(), nil
		case s.Record == nil:
			step.Outcome, out.After = "dropped", nil
		case s.Changed:
			step.Outcome = "changed"
			if step.Record, err = trial.AppendRecord(nil, s.Record); err != nil {
				return connector.TrialRecord{}, err
			}
			out.After = step.Record
		}
		out.Steps = append(out.Steps, step)
	}
	return out, nil
}
