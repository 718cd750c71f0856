package connect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/herder"
	"github.com/millrace/millrace/connect/rebalance"
)

// workerID is the address by which statuses name this worker, and at which
// others reach it.
func (c *Connect) workerID() string {
	h, p, err := net.SplitHostPort(c.cfg.Address)
	if err != nil {
		h = c.cfg.Address
	}
	if ip := net.ParseIP(h); h == "" || ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			h = name // no other machine can connect to 0.0.0.0
		}
	}
	if name := c.settings.String("rest.advertised.host.name"); name != "" {
		h = name
	}
	if port := c.settings.Int("rest.advertised.port"); port != 0 {
		p = strconv.Itoa(port)
	}
	return net.JoinHostPort(h, p)
}

// url is where other workers reach this one.
func (c *Connect) url() string {
	return c.api.scheme + "://" + c.workerID() + "/"
}

// groupClientOpts are those of the client that speaks for the worker in its
// group.
func (c *Connect) groupClientOpts() []kgo.Opt {
	id := c.settings.String("client.id")
	if id == "" {
		id = "connect-" + c.workerID()
	}
	return append(c.brokers.Opts(nil), kgo.ClientID(id), kgo.RetryTimeout(c.settings.Millis("session.timeout.ms")))
}

func (c *Connect) groupConfig(client *kgo.Client) rebalance.Config {
	s := c.settings
	group := s.String("group.id")
	return rebalance.Config{
		Client: client, Group: group, URL: c.url(), Storage: s.storage(),
		Protocols: rebalance.Offered(strings.ToLower(s.String("connect.protocol"))),
		Session:   s.Millis("session.timeout.ms"), Heartbeat: s.Millis("heartbeat.interval.ms"), Rebalance: s.Millis("rebalance.timeout.ms"),
		MaxDelay: s.Millis("scheduled.rebalance.max.delay.ms"), SyncTimeout: s.Millis("worker.sync.timeout.ms"),
		UnsyncBackoff: s.Millis("worker.unsync.backoff.ms"),
		Previous:      c.formerMember(group), Named: func(id string) { c.rememberMember(group, id) }, Logger: c.cfg.Logger,
	}
}

// storage names the topics of the cluster, which all of its workers share.
func (s settings) storage() string {
	return fmt.Sprintf("topics %s, %s and %s", s.String("config.storage.topic"), s.String("offset.storage.topic"), s.String("status.storage.topic"))
}

func (s settings) signing() herder.Signing {
	return herder.Signing{
		KeyAlgorithm: s.String("inter.worker.key.generation.algorithm"), KeyBits: s.Int("inter.worker.key.size"),
		KeyTTL: s.Millis("inter.worker.key.ttl.ms"), Algorithm: s.String("inter.worker.signature.algorithm"),
		Verify: s.List("inter.worker.verification.algorithms"),
	}
}

// memberFile is the JSON of Config.MemberFile.
type memberFile struct {
	Group  string `json:"group"`
	Member string `json:"member"`
}

// formerMember returns the id that this worker had in its group when its
// process ended last, "" if unknown. A file that cannot be read costs a wait
// and nothing else.
func (c *Connect) formerMember(group string) string {
	if c.cfg.MemberFile == "" {
		return ""
	}
	raw, err := os.ReadFile(c.cfg.MemberFile)
	var f memberFile
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.cfg.Logger.Warn("former member of the group unknown", "file", c.cfg.MemberFile, "err", err)
	}
	if f.Group != group {
		return ""
	}
	return f.Member
}

func (c *Connect) rememberMember(group, id string) {
	if c.cfg.MemberFile == "" {
		return
	}
	raw, err := json.Marshal(memberFile{group, id})
	if err == nil {
		tmp := c.cfg.MemberFile + ".tmp"
		if err = os.WriteFile(tmp, raw, 0o600); err == nil {
			err = os.Rename(tmp, c.cfg.MemberFile)
		}
	}
	if err != nil {
		c.cfg.Logger.Warn("member of the group not noted: after a crash this worker waits for its session to end", "file", c.cfg.MemberFile, "err", err)
	}
}

// MemberFile is where a data directory keeps the worker's id in its group.
func MemberFile(dataDir string) string {
	return filepath.Join(dataDir, "connect-member.json")
}
