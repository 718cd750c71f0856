package metadata

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
)

// QuotaName is one part of a quota's entity: not there, the default, or one by
// name.
type QuotaName struct {
	Given   bool
	Default bool
	Name    string
}

// QuotaEntity is whom a quota is for: a user, a client id, both, or an
// address. Parts that are not given are zero.
type QuotaEntity struct{ User, ClientID, IP QuotaName }

// Quota is the quotas of one entity. It is immutable.
type Quota struct {
	Entity QuotaEntity
	Limits map[string]float64 // by Kafka's key; not empty
}

// QuotaKey describes one quota: whom it can be for.
type QuotaKey struct {
	Name string
	IP   bool // for addresses; else for users and clients
	Doc  string
}

// quotaKeys is every quota there is, by name.
var quotaKeys = []QuotaKey{
	{"connection_creation_rate", true, "Connections that may be made in a second."},
	{"consumer_byte_rate", false, "Bytes that may be fetched in a second."},
	{"controller_mutation_rate", false, "Partitions that may be created or deleted in a second."},
	{"producer_byte_rate", false, "Bytes that may be produced in a second."},
	{"request_percentage", false, "Share of a second that may be spent on requests, in percent of one processor."},
}

// QuotaKeys returns the table of quotas. The slice is shared.
func QuotaKeys() []QuotaKey { return quotaKeys }

// Check returns why there can be no quotas for an entity; the error wraps
// ErrQuota.
func (e QuotaEntity) Check() error {
	switch {
	case !e.User.Given && !e.ClientID.Given && !e.IP.Given:
		return fmt.Errorf("entity is empty: must have user, client-id or ip: %w", ErrQuota)
	case e.IP.Given && (e.User.Given || e.ClientID.Given):
		return fmt.Errorf("ip cannot be combined with user or client-id: %w", ErrQuota)
	}
	return nil
}

// CheckQuota returns why an entity cannot have a quota of that name and value;
// the error wraps ErrQuota.
func CheckQuota(e QuotaEntity, name string, value float64) error {
	i := slices.IndexFunc(quotaKeys, func(k QuotaKey) bool { return k.Name == name })
	switch {
	case i < 0:
		return fmt.Errorf("unknown quota %s: %w", name, ErrQuota)
	case quotaKeys[i].IP != e.IP.Given:
		return fmt.Errorf("%s cannot be set on this kind of entity: %w", name, ErrQuota)
	case !(value > 0) || math.IsInf(value, 0):
		return fmt.Errorf("%s is %g: must be positive: %w", name, value, ErrQuota)
	}
	return nil
}

func (e QuotaEntity) key() string { return string(appendEntity(nil, &e)) }

// Quota returns the quotas of exactly that entity, nil if it has none.
func (m *Image) Quota(e QuotaEntity) *Quota { return m.quotas.get(e.key()) }

// Quotas returns all quotas, in an order that is always the same.
func (m *Image) Quotas() []*Quota {
	return slices.SortedFunc(m.quotas.values(), func(a, b *Quota) int { return cmp.Compare(a.Entity.key(), b.Entity.key()) })
}

// SameQuotas reports whether two images have the same quotas, if they are
// neighbours; true is always right.
func SameQuotas(a, b *Image) bool { return a.quotas == b.quotas }

// AlterQuota sets and removes quotas of an entity, which CheckQuota has passed.
// It has no result.
type AlterQuota struct {
	Entity QuotaEntity
	Set    map[string]float64
	Remove []string
}

func (*AlterQuota) kind() byte { return kindAlterQuota }

func (c *AlterQuota) appendTo(b []byte) []byte {
	b = appendLimits(appendEntity(b, &c.Entity), c.Set)
	b = binary.AppendUvarint(b, uint64(len(c.Remove)))
	for _, k := range c.Remove {
		b = appendString(b, k)
	}
	return b
}

func (c *AlterQuota) readFrom(d *decoder) {
	c.Entity, c.Set = readEntity(d), readLimits(d)
	for range d.count() {
		c.Remove = append(c.Remove, d.string())
	}
}

func (c *AlterQuota) apply(m *Image, _ uint64) (any, error) {
	if err := c.Entity.Check(); err != nil {
		return nil, err
	}
	next := &Quota{Entity: c.Entity, Limits: make(map[string]float64)}
	if have := m.Quota(c.Entity); have != nil {
		maps.Copy(next.Limits, have.Limits)
	}
	for _, k := range c.Remove {
		delete(next.Limits, k)
	}
	maps.Copy(next.Limits, c.Set)
	if len(next.Limits) == 0 {
		m.quotas = m.quotas.without(c.Entity.key())
	} else {
		m.quotas = m.quotas.with(c.Entity.key(), next)
	}
	return nil, nil
}

// A part of an entity is a byte, 0 for not given, 1 for the default, 2 for a
// name that follows.
func appendEntity(b []byte, e *QuotaEntity) []byte {
	for _, n := range []QuotaName{e.User, e.ClientID, e.IP} {
		switch {
		case !n.Given:
			b = append(b, 0)
		case n.Default:
			b = append(b, 1)
		default:
			b = appendString(append(b, 2), n.Name)
		}
	}
	return b
}

func readEntity(d *decoder) QuotaEntity {
	read := func() QuotaName {
		switch d.byte() {
		case 0:
			return QuotaName{}
		case 1:
			return QuotaName{Given: true, Default: true}
		case 2:
			return QuotaName{Given: true, Name: d.string()}
		}
		d.fail("part of an entity is neither 0, 1 nor 2")
		return QuotaName{}
	}
	return QuotaEntity{User: read(), ClientID: read(), IP: read()}
}

func appendLimits(b []byte, limits map[string]float64) []byte {
	b = binary.AppendUvarint(b, uint64(len(limits)))
	for _, k := range slices.Sorted(maps.Keys(limits)) {
		b = appendString(b, k)
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(limits[k]))
	}
	return b
}

func readLimits(d *decoder) map[string]float64 {
	n := d.count()
	out := make(map[string]float64)
	for range n {
		k := d.string()
		if len(d.b) < 8 {
			d.fail("bytes end early")
			return nil
		}
		out[k] = math.Float64frombits(binary.BigEndian.Uint64(d.b))
		d.b = d.b[8:]
	}
	if len(out) != n {
		d.fail("repeated key")
	}
	return out
}
