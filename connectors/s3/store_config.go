package s3

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// storeConfig says where the store is and who asks.
type storeConfig struct {
	bucket, region, endpoint string
	bucketKey                string // the keys that say so, for people
	pathStyle, accelerate    bool
	checksums                bool // send them whenever the store may take them
	unsigned                 bool // leave payloads out of signatures

	accessKey, secret string
	provider          provider
	role, session     string
	externalID        string
	stsRegion         string
	stsEndpoint       string
	roleTime          time.Duration // of an assumed role, 0 for the SDK's
	stsKey, stsSecret string

	attempts int
	backoff  time.Duration
	longest  time.Duration // of the waits between attempts
	proxy    *url.URL

	encryption, kmsKey, customerKey, acl string
}

func newStoreConfig(p *parser) storeConfig {
	cfg := p.cfg
	s := storeConfig{
		bucket: cfg.String("s3.bucket.name"), region: cfg.String("s3.region"), endpoint: withScheme(cfg.String("store.url")),
		pathStyle: cfg.Bool("s3.path.style.access.enabled"), accelerate: cfg.Bool("s3.wan.mode"),
		accessKey: cfg.String("aws.access.key.id"), secret: cfg.String("aws.secret.access.key"),
		role: cfg.String(stsPrefix + "role.arn"), session: cfg.String(stsPrefix + "role.session.name"),
		externalID: cfg.String(stsPrefix + "role.external.id"), stsRegion: cfg.String(stsPrefix + "region"),
		stsKey: cfg.String(stsPrefix + "aws.access.key.id"), stsSecret: cfg.String(stsPrefix + "aws.secret.key.id"),
		bucketKey: "s3.bucket.name, s3.region and store.url", longest: maxBackoff,
		attempts: max(1, cfg.Int("s3.part.retries")), backoff: cfg.Millis("s3.retry.backoff.ms"), customerKey: cfg.String("s3.sse.customer.key"),
	}
	var err error
	s.provider, err = parseProvider(cfg.String(providerKey))
	p.bad(providerKey, err)
	if s.provider == roleProvider && s.role == "" {
		p.bad(stsPrefix+"role.arn", errors.New("the role to assume is missing"))
	}
	if (s.accessKey == "") != (s.secret == "") {
		p.bad("aws.secret.access.key", errors.New("aws.access.key.id and aws.secret.access.key are needed both, or neither"))
	}
	if s.accelerate && s.pathStyle {
		p.bad("s3.wan.mode", errors.New("the accelerated endpoint needs s3.path.style.access.enabled=false"))
	}
	s.proxy = proxyURL(cfg)
	s.digests(cfg.String("s3.checksum"), "always") // sources send no content
	return s
}

// digests decides what protects the content of objects on its way, by the keys
// s3.checksum and s3.payload.signing. A signature over a payload costs its
// SHA-256, twice. TLS protects what it carries, and nothing comes between
// processes of one machine, where a checksum notices what else may happen. What
// goes over a network in the clear is signed.
func (s *storeConfig) digests(checksum, signing string) {
	own := local(s.endpoint) && s.proxy == nil
	s.checksums = checksum == "supported" || checksum == "" && (s.endpoint == "" || own)
	secure := s.endpoint == "" || strings.HasPrefix(s.endpoint, "https://")
	s.unsigned = signing == "never" || signing == "auto" && (secure || own && s.checksums)
}

// local reports whether an address is of this machine alone.
func local(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false // its own check has said so
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// proxyURL puts user and password into the proxy's address.
func proxyURL(cfg sdk.Config) *url.URL {
	text := cfg.String("s3.proxy.url")
	if text == "" {
		return nil
	}
	u, err := url.Parse(withScheme(text))
	if err != nil {
		return nil // its own check has said so
	}
	if user := cfg.String("s3.proxy.user"); user != "" {
		u.User = url.UserPassword(user, cfg.String("s3.proxy.password"))
	}
	return u
}
