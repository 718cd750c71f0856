package herder

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
	"github.com/millrace/millrace/connect/signature"
	"github.com/millrace/millrace/connect/store"
)

// Signing is how requests between workers are signed: the inter.worker keys.
type Signing struct {
	// KeyAlgorithm and KeyBits make keys; 0 bits is the algorithm's default.
	KeyAlgorithm string
	KeyBits      int
	// KeyTTL is how long a key is used, 0 for ever.
	KeyTTL time.Duration
	// Algorithm signs, and those of Verify are accepted.
	Algorithm string
	Verify    []string
}

// tend does a leader's chores until ctx ends: it removes the statuses of what
// is gone, and makes the key of internal requests.
func (h *Herder) tend(ctx context.Context) {
	swept := 0
	for {
		s, moved := h.here()
		next := time.Hour
		if s.joined && s.Leader {
			if swept != s.version {
				swept = s.version
				h.sweep(ctx)
			}
			next = h.tendKey(ctx, s)
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-moved:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// keyRetry is the pause after a key could not be stored.
const keyRetry = time.Second

// tendKey replaces the session key if that is due, and returns when to look
// again.
func (h *Herder) tendKey(ctx context.Context, s seat) time.Duration {
	if s.Protocol != rebalance.Sessioned {
		return time.Hour // some worker does not sign
	}
	due, in := h.keyDue(h.configs.Snapshot().Session)
	if !due {
		return in
	}
	key, err := signature.NewKey(h.cfg.Signing.KeyAlgorithm, h.cfg.Signing.KeyBits)
	if err == nil {
		h.writing.Lock()
		defer h.writing.Unlock()
		err = h.configs.PutSession(ctx, store.SessionKey{Key: key, Algorithm: h.cfg.Signing.KeyAlgorithm, Created: time.Now()})
	}
	if err != nil {
		if ctx.Err() == nil {
			h.log.Error("session key not replaced, trying again", "err", err)
		}
		return keyRetry
	}
	h.log.Info("session key replaced", "algorithm", h.cfg.Signing.KeyAlgorithm)
	if h.cfg.Signing.KeyTTL > 0 {
		return h.cfg.Signing.KeyTTL
	}
	return time.Hour
}

// keyDue reports whether a key must be replaced, and otherwise after what time
// to ask again.
func (h *Herder) keyDue(k *store.SessionKey) (bool, time.Duration) {
	c := h.cfg.Signing
	if k == nil || k.Algorithm != c.KeyAlgorithm {
		return true, 0
	}
	if n, err := signature.KeyBytes(c.KeyAlgorithm, c.KeyBits); err == nil && len(k.Key) != n && c.KeyBits != 0 {
		return true, 0
	}
	if c.KeyTTL == 0 {
		return false, time.Hour
	}
	left := c.KeyTTL - time.Since(k.Created)
	return left <= 0, left
}

// verify refuses an internal request that is not signed as it should be, in
// Kafka Connect's words. A group with a worker that does not sign asks for no
// signature.
func (h *Herder) verify(ctx context.Context, r signature.Request) error {
	s, err := h.settled(ctx)
	if err != nil {
		return err
	}
	if s.Protocol != rebalance.Sessioned {
		return nil
	}
	key := h.configs.Snapshot().Session
	switch {
	case r.Signature == "" || r.Algorithm == "":
		return connector.Errorf(connector.BadRequest, "Internal request missing required signature")
	case !slices.Contains(h.cfg.Signing.Verify, r.Algorithm):
		return connector.Errorf(connector.BadRequest, "This worker does not support the '%s' key signing algorithm used by other workers. "+
			"This worker is currently configured to use: %s. Check that all workers' configuration files permit the same set of signature algorithms, "+
			"and correct any misconfigured worker and restart it.", r.Algorithm, h.cfg.Signing.Verify)
	case key == nil:
		return connector.Errorf(connector.Unavailable, "This worker is still starting up and has not been able to read a session key from the config topic yet")
	case !r.Valid(key.Key):
		return connector.Errorf(connector.Forbidden, "Internal request contained invalid signature.")
	}
	return nil
}
