package postgres

import (
	"strings"
	"testing"
)

func TestTopicNames(t *testing.T) {
	for _, tt := range []struct {
		strategy      string
		more          map[string]string
		schema, table string
		topic         string
		physical      string // of the key's field, "" for no field
	}{
		{"Schema", nil, "public", "orders", "shop.public.orders", ""},
		{"Schema", map[string]string{"topic.delimiter": "_"}, "public", "orders", "shop_public_orders", ""},
		{"Schema", nil, "My Schema", "größe", "shop.My_Schema.gr__e", ""},
		{"Schema", nil, "public", "😀", "shop.public.__", ""},
		{"Schema", nil, "public", strings.Repeat("x", 300), "shop.public." + strings.Repeat("x", 237), ""},
		{"Default", nil, "public", "orders", "shop.orders", ""},
		{"SchemaUnicode", nil, "public", "snake_größe", "shop.public.snake_u005fgr_u00f6_u00dfe", ""},
		{"DefaultUnicode", nil, "public", "α", "shop._u3b1", ""},
		{"SchemaRegex", map[string]string{"topic.regex": `(.*)\.orders_\d+`, "topic.replacement": "$1.orders"}, "public", "orders_17", "shop.public.orders", "shop.public.orders_17"},
		{"SchemaRegex", map[string]string{"topic.regex": `(.*)\.orders_\d+`, "topic.replacement": "$1.orders"}, "public", "other", "shop.public.other", "shop.public.other"},
		{"DefaultRegex", map[string]string{"topic.regex": `(.*)\.orders_(\d)`, "topic.replacement": "$1_$2", "topic.key.field.regex": `.*_(\d)`, "topic.key.field.replacement": "shard $1"}, "public", "orders_1", "shop_1", "shard 1"},
		{"DefaultRegex", map[string]string{"topic.regex": `.*`, "topic.replacement": "all", "topic.key.enforce.uniqueness": "false"}, "public", "orders", "all", ""},
	} {
		props := map[string]string{"topic.naming.strategy": "io.debezium.schema." + tt.strategy + "TopicNamingStrategy"}
		for k, v := range tt.more {
			props[k] = v
		}
		c, problems := check(baseProps(props))
		if len(problems) > 0 {
			t.Errorf("%s %v: %v", tt.strategy, tt.more, problems)
			continue
		}
		topic, physical := c.naming.topic(tt.schema, tt.table)
		if c.naming.keyField == "" {
			physical = ""
		}
		if topic != tt.topic || physical != tt.physical {
			t.Errorf("%s %v: %s.%s goes to %q with key field %q, want %q and %q", tt.strategy, tt.more, tt.schema, tt.table, topic, physical, tt.topic, tt.physical)
		}
	}
}

func TestAdjustName(t *testing.T) {
	for _, tt := range []struct {
		mode, name string
		full       bool
		want       string
	}{
		{"none", "my-shop.1", true, "my-shop.1"},
		{"avro", "my-shop.größe.Value", true, "my_shop.gr__e.Value"},
		{"avro", "1st", false, "_1st"},
		{"avro", "a.1b", true, "a.1b"},
		{"avro", "dot.ted", false, "dot_ted"},
		{"avro_unicode", "snake_case", false, "snake_u005fcase"},
		{"avro_unicode", "1st", false, "_u0031st"},
		{"avro_unicode", "my-shop.x", true, "my_u002dshop.x"},
		{"avro_unicode", "αß", false, "_u3b1_u00df"},
	} {
		if got := adjustName(tt.mode, tt.name, tt.full); got != tt.want {
			t.Errorf("%s of %q, full name %v: %q, want %q", tt.mode, tt.name, tt.full, got, tt.want)
		}
	}
}
