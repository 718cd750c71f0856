package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/converter/rule"
)

// registries holds one registry client for each address and credentials, so
// that tasks share connections and what never changes.
type registries struct {
	mu      sync.Mutex // guards below
	clients map[string]*registryClient
}

// get returns the client for a converter's properties, nil if they name no
// registry.
func (r *registries) get(props map[string]string) (*registryClient, error) {
	urls := splitNames(props["schema.registry.url"])
	if len(urls) == 0 {
		return nil, nil
	}
	user := props["basic.auth.user.info"]
	if user == "" {
		user = props["schema.registry.basic.auth.user.info"]
	}
	key := strings.Join([]string{strings.Join(urls, ","), user, props["bearer.auth.token"]}, "\x00")
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.clients[key]; ok {
		return c, nil
	}
	opts := []sr.ClientOpt{sr.UserAgent("millrace"), sr.HTTPClient(&http.Client{Timeout: registryTimeout})}
	for i, u := range urls {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Host == "" {
			return nil, fmt.Errorf("schema.registry.url: %q is not a URL such as http://127.0.0.1:8081", parsed.Redacted())
		}
		if name := parsed.User; name != nil && user == "" {
			pass, _ := name.Password()
			user = name.Username() + ":" + pass
			parsed.User = nil
			urls[i] = parsed.String()
		}
	}
	opts = append(opts, sr.URLs(urls...))
	if name, pass, ok := strings.Cut(user, ":"); ok {
		opts = append(opts, sr.BasicAuth(name, pass))
	}
	if token := props["bearer.auth.token"]; token != "" {
		opts = append(opts, sr.BearerToken(token))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	if r.clients == nil {
		r.clients = map[string]*registryClient{}
	}
	c := &registryClient{client: client}
	r.clients[key] = c
	return c, nil
}

const registryTimeout = 30 * time.Second

// registryClient is a converter.Registry over HTTP. What cannot change is kept:
// the text of an id, and the id of a text under a subject.
type registryClient struct {
	client *sr.Client
	texts  bounded[int32, contracted]
	needs  bounded[int32, map[string]string]
	ids    bounded[string, int32]
}

var _ converter.Registry = (*registryClient)(nil)

// bounded is a map that forgets everything when it is full, which for what
// converters ask happens only to those that are fed ever new schemas.
type bounded[K comparable, V any] struct {
	mu sync.Mutex // guards below
	m  map[K]V
}

const maxRemembered = 10_000

func (b *bounded[K, V]) get(k K) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.m[k]
	return v, ok
}

func (b *bounded[K, V]) put(k K, v V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil || len(b.m) >= maxRemembered {
		b.m = map[K]V{}
	}
	b.m[k] = v
}

var schemaTypes = map[string]sr.SchemaType{"AVRO": sr.TypeAvro, "PROTOBUF": sr.TypeProtobuf, "JSON": sr.TypeJSON}

// Register implements converter.Registry.
func (c *registryClient) Register(ctx context.Context, subject, text, kind string, normalize bool) (int32, error) {
	key := strings.Join([]string{"register", subject, kind, text}, "\x00")
	if id, ok := c.ids.get(key); ok {
		return id, nil
	}
	if normalize {
		ctx = sr.WithParams(ctx, sr.Normalize)
	}
	id, err := c.client.RegisterSchema(ctx, subject, sr.Schema{Schema: text, Type: schemaTypes[kind]}, -1, -1)
	if err != nil {
		return 0, classed(err)
	}
	c.ids.put(key, int32(id))
	return int32(id), nil
}

// Lookup implements converter.Registry.
func (c *registryClient) Lookup(ctx context.Context, subject, text, kind string, normalize bool) (int32, error) {
	key := strings.Join([]string{"lookup", subject, kind, text}, "\x00")
	if id, ok := c.ids.get(key); ok {
		return id, nil
	}
	if normalize {
		ctx = sr.WithParams(ctx, sr.Normalize)
	}
	s, err := c.client.LookupSchema(ctx, subject, sr.Schema{Schema: text, Type: schemaTypes[kind]})
	if err != nil {
		return 0, classed(err)
	}
	c.ids.put(key, int32(s.ID))
	return int32(s.ID), nil
}

// Latest implements converter.Registry.
func (c *registryClient) Latest(ctx context.Context, subject string) (converter.RegisteredSchema, error) {
	s, err := c.client.SchemaByVersion(ctx, subject, -1)
	if err != nil {
		return converter.RegisteredSchema{}, classed(err)
	}
	return converter.RegisteredSchema{ID: int32(s.ID), Version: int32(s.Version), Text: s.Schema.Schema}, nil
}

// schema returns a schema by its id. What an id stands for does not change.
func (c *registryClient) schema(ctx context.Context, id int32) (contracted, error) {
	if s, ok := c.texts.get(id); ok {
		return s, nil
	}
	var s contracted
	path := "/schemas/ids/" + strconv.Itoa(int(id))
	err := c.client.Do(ctx, http.MethodGet, path, nil, &s)
	if err == nil && s.Type == sr.TypeAvro && len(s.References) > 0 { // with the types that it refers to written out
		s = contracted{}
		err = c.client.Do(sr.WithParams(ctx, sr.Format("resolved")), http.MethodGet, path, nil, &s)
	}
	if err != nil {
		return s, classed(err)
	}
	c.texts.put(id, s)
	return s, nil
}

// ByID implements converter.Registry.
func (c *registryClient) ByID(ctx context.Context, id int32) (text, kind string, err error) {
	s, err := c.schema(ctx, id)
	if err != nil {
		return "", "", err
	}
	kind = "AVRO"
	for name, t := range schemaTypes {
		if t == s.Type {
			kind = name
		}
	}
	return s.Schema.Schema, kind, nil
}

// Contract implements converter.Registry.
func (c *registryClient) Contract(ctx context.Context, id int32) (rule.Contract, error) {
	s, err := c.schema(ctx, id)
	if err != nil {
		return rule.Contract{}, err
	}
	var out rule.Contract
	if s.SchemaRuleSet != nil {
		out.Rules = appendRules(nil, s.SchemaRuleSet.DomainRules, false)
	}
	out.Rules = appendRules(out.Rules, s.encoding, true)
	if s.SchemaMetadata != nil {
		out.Tags = s.SchemaMetadata.Tags
	}
	return out, nil
}

func appendRules(to []rule.Rule, from []sr.SchemaRule, encoding bool) []rule.Rule {
	for _, r := range from {
		to = append(to, rule.Rule{
			Name: r.Name, Kind: r.Kind.String(), Mode: r.Mode.String(), Type: r.Type, Expr: r.Expr, Tags: r.Tags, Params: r.Params,
			OnFailure: r.OnFailure, Disabled: r.Disabled, Encoding: encoding,
		})
	}
	return to
}

// contracted is a schema with the rules for its encoding, of which the client
// knows nothing.
type contracted struct {
	sr.Schema
	encoding []sr.SchemaRule
}

// UnmarshalJSON reads a schema as the registry returns it.
func (s *contracted) UnmarshalJSON(raw []byte) error {
	var more struct {
		RuleSet struct {
			Encoding []sr.SchemaRule `json:"encodingRules"`
		} `json:"ruleSet"`
	}
	if err := json.Unmarshal(raw, &more); err != nil {
		return err
	}
	s.encoding = more.RuleSet.Encoding
	return json.Unmarshal(raw, &s.Schema)
}

// maxDependencies bounds how many schemas one refers to, directly or not.
const maxDependencies = 1000

// Dependencies implements converter.Registry.
func (c *registryClient) Dependencies(ctx context.Context, id int32) (map[string]string, error) {
	if known, ok := c.needs.get(id); ok {
		return known, nil
	}
	s, err := c.schema(ctx, id)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for open := s.References; len(open) > 0; open = open[1:] {
		ref := open[0]
		if _, met := out[ref.Name]; met {
			continue
		}
		if len(out) >= maxDependencies {
			return nil, fmt.Errorf("schema %d refers to more than %d others", id, maxDependencies)
		}
		found, err := c.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
		if err != nil {
			return nil, classed(err)
		}
		out[ref.Name] = found.Schema.Schema
		open = append(open, found.References...)
	}
	c.needs.put(id, out)
	return out, nil
}

// VersionOf implements converter.Registry.
func (c *registryClient) VersionOf(ctx context.Context, subject string, id int32) (int32, bool, error) {
	versions, err := c.client.SchemaVersionsByID(ctx, int(id))
	if err != nil {
		return 0, false, classed(err)
	}
	for _, v := range versions {
		if v.Subject == subject {
			return int32(v.Version), true, nil
		}
	}
	return 0, false, nil
}

// classed says whose fault a registry's error is: no answer and overload pass
// by themselves, wrong credentials need a person, and what is left is about
// the schema.
func classed(err error) error {
	var resp *sr.ResponseError
	switch {
	case !errors.As(err, &resp):
		return &converter.TransientError{Err: err}
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return &converter.TransientError{Err: err}
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return &converter.FatalError{Err: err}
	}
	return err
}
