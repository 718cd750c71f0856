package transform

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var (
	aivenTombstoneDef = configdef.Def{
		{Name: "behavior", Type: configdef.String, Required: true, Importance: configdef.High,
			Rules: []configdef.Rule{configdef.OneOfFold("drop_silent", "drop_warn", "fail")}, Doc: "What to do about tombstones."},
	}
	confluentTombstoneDef = configdef.Def{
		{Name: "behavior", Type: configdef.String, Default: "drop_warn", Importance: configdef.Medium,
			Rules: []configdef.Rule{configdef.OneOfFold("drop_silent", "drop_warn", "ignore", "warn", "fail")}, Doc: "What to do about tombstones."},
	}
)

// tombstoneHandler is Aiven's and Confluent's TombstoneHandler.
type tombstoneHandler struct {
	behavior string
	log      *slog.Logger
}

func newTombstoneHandler(s settings, c configdef.Config) (Transform, error) {
	return tombstoneHandler{strings.ToLower(c.String("behavior")), s.Logger}, nil
}

// Apply drops tombstones, or lets them pass, or fails.
func (t tombstoneHandler) Apply(r *Record) (bool, error) {
	if !r.value.isNull() {
		return true, nil
	}
	if t.behavior == "fail" {
		return false, errors.New("the record is a tombstone, and behavior is fail")
	}
	if t.behavior == "drop_warn" || t.behavior == "warn" {
		t.log.Warn("tombstone", "topic", r.Topic, "partition", r.Partition, "behavior", t.behavior)
	}
	return t.behavior == "ignore" || t.behavior == "warn", nil
}

// makeTombstone is Aiven's MakeTombstone: removes the value.
type makeTombstone struct{}

func newMakeTombstone(settings, configdef.Config) (Transform, error) { return makeTombstone{}, nil }

// Apply never drops a record.
func (makeTombstone) Apply(r *Record) (bool, error) {
	r.setDatum(&r.value, data.Datum{})
	return true, nil
}

var dropDef = configdef.Def{
	{Name: "schema.behavior", Type: configdef.String, Default: "nullify", Importance: configdef.Medium,
		Rules: []configdef.Rule{configdef.OneOfFold("nullify", "retain", "force_optional")},
		Doc:   "What becomes of the schema: it goes, it stays and must be optional, or it is made optional."},
}

// drop is Confluent's Drop: removes the key or the value.
type drop struct {
	side     Side
	behavior string
	plans    perSchema[*data.Schema]
}

func newDrop(s settings, c configdef.Config) (Transform, error) {
	return &drop{side: s.side, behavior: strings.ToLower(c.String("schema.behavior"))}, nil
}

// Apply keeps the record.
func (t *drop) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	s := c.schema()
	switch {
	case s == nil || t.behavior == "nullify":
		r.setDatum(c, data.Datum{})
		return true, nil
	case t.behavior == "retain" && !s.Optional():
		return false, errors.New("the schema is not optional, and schema.behavior is retain")
	}
	out, err := t.plans.get(s, func(s *data.Schema) (*data.Schema, error) { return data.AsOptional(s), nil })
	if err == nil {
		r.setDatum(c, nullOf(out))
	}
	return err == nil, err
}
