package converter

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// delegateKey names the converter of what is no bytes; its own settings are
// under delegate.converter.type. as well.
const delegateKey = "delegate.converter.type"

var binaryDef = configdef.Def{typeKey, {Name: delegateKey, Type: configdef.Class, Importance: configdef.Low,
	Doc: "Converter of records that are no bytes, such as heartbeats. Without it they are an error."}}

// binaryConverter is Debezium's BinaryDataConverter: bytes as they are, and
// everything else by another converter.
type binaryConverter struct {
	bytes    bytesConverter
	delegate Converter // nil for none
}

func newBinary(s Settings, c configdef.Config) (Converter, error) {
	name := c.String(delegateKey)
	if name == "" {
		return &binaryConverter{}, nil
	}
	class, ok := Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%s: class %s could not be found", delegateKey, name)
	}
	if class.Name == binaryName {
		return nil, errors.New(delegateKey + " must name another converter")
	}
	s.Props = c.WithPrefix(delegateKey + ".")
	delegate, err := class.New(s)
	return &binaryConverter{delegate: delegate}, err
}

const binaryName = "io.debezium.converters.BinaryDataConverter"

func (c *binaryConverter) FromConnect(ctx context.Context, topic string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if c.delegate != nil && d.Schema != nil && (d.Schema.Type() != data.TypeBytes || d.Schema.IsLogical()) {
		return c.delegate.FromConnect(ctx, topic, d, dst)
	}
	return c.bytes.FromConnect(ctx, topic, d, dst)
}

func (c *binaryConverter) ToConnect(ctx context.Context, topic string, raw []byte) (data.Datum, error) {
	return c.bytes.ToConnect(ctx, topic, raw)
}
