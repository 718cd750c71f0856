package sdk

import "github.com/millrace/millrace/plugins/proto"

// Describe returns what the connector says of itself, for a program that has
// connectors built in and need not start a process to ask.
func (c *Connector) Describe() proto.Description { return c.description() }
