package data_test

import (
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// A schema is built once, and a struct of it for each record.
func ExampleNewStructBuilder() {
	order := data.NewStructBuilder().Name("shop.Order").Version(1).
		Field("id", data.Int64Schema).
		Field("customer", data.OptionalStringSchema).
		Field("total", data.DecimalSchema(2)).
		MustBuild()
	v := data.NewStruct(order)
	for name, value := range map[string]any{"id": int64(7), "total": data.NewDecimal(1250, 2)} {
		if err := v.Put(name, value); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(data.Text(v))
	fmt.Println(v.Put("id", "seven"))
	// Output:
	// Struct{id=7,total=12.50}
	// id: a string where the schema is int64
}

// A RowWriter writes what a struct would hold straight into bytes.
func ExampleRowWriter() {
	point := data.NewStructBuilder().Name("Point").Field("x", data.Int32Schema).Field("label", data.OptionalStringSchema).MustBuild()
	w := data.NewRowWriter(point)
	w.Reset(nil)
	w.BeginStruct()
	w.Int32(3)
	w.Text("here")
	w.End()
	row, _, err := w.Finish()
	fmt.Printf("% x %v\n", row, err)
	v, err := data.Datum{Schema: point, State: data.Present, Row: row}.Value()
	fmt.Println(data.Text(v), err)
	// Output:
	// 06 02 08 68 65 72 65 <nil>
	// Struct{x=3,label=here} <nil>
}
