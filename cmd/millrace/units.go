package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// unit is one part of the process with a life of its own. run blocks until its
// context ends, and calls ready once it serves what later units need.
type unit struct {
	name string
	run  func(ctx context.Context, ready func()) error
}

// running is a unit that was started.
type running struct {
	name string
	stop context.CancelFunc
	done chan error // has its error, once
}

// runUnits starts units in order, each when the one before is ready, calls
// ready when all are, and waits until ctx ends or a unit fails. Then it stops
// them in reverse order, so that none loses what it still needs to stop well.
// Stopping that takes longer than grace is given up with an error.
func runUnits(ctx context.Context, log *slog.Logger, units []unit, ready func() error, grace time.Duration) error {
	failed := make(chan error, len(units))
	var up []*running
	err := func() error {
		for _, u := range units {
			r, err := startUnit(ctx, u, failed)
			up = append(up, r)
			if err != nil {
				return err
			}
		}
		if err := ready(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			log.Info("stopping")
			return nil
		case err := <-failed:
			return err
		}
	}()
	if ctx.Err() != nil {
		err = nil // told to stop, be it while starting
	}
	return errors.Join(err, stopUnits(up, grace))
}

// startUnit returns when the unit is ready, has failed, or ctx has ended.
func startUnit(ctx context.Context, u unit, failed chan<- error) (*running, error) {
	uctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{name: u.name, stop: stop, done: make(chan error, 1)}
	isReady := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		err := u.run(uctx, func() { close(isReady) })
		if err == nil && uctx.Err() == nil {
			err = errors.New("ended by itself")
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", u.name, err)
		}
		if uctx.Err() == nil {
			failed <- err
			ended <- err
			r.done <- nil // the failure is told already
			return
		}
		r.done <- err
	}()
	select {
	case <-isReady:
		return r, nil
	case err := <-ended:
		return r, err
	case <-ctx.Done():
		return r, context.Cause(ctx)
	}
}

func stopUnits(up []*running, grace time.Duration) error {
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	var errs []error
	for i := len(up) - 1; i >= 0; i-- {
		up[i].stop()
		select {
		case err := <-up[i].done:
			errs = append(errs, err)
		case <-deadline.C:
			return errors.Join(append(errs, fmt.Errorf("%s had not stopped after %s", up[i].name, grace))...)
		}
	}
	return errors.Join(errs...)
}
