package onnx

// The structs below are the messages of onnx.proto. The tag of a field is its number and name there; it is the table
// that the decoder, the encoder, the comparison and the copy all work from.

// Model is ModelProto: a graph with the operator sets, functions and metadata that it needs.
type Model struct {
	message
	IRVersion       int64                  `onnx:"1,ir_version"`
	ProducerName    string                 `onnx:"2,producer_name"`
	ProducerVersion string                 `onnx:"3,producer_version"`
	Domain          string                 `onnx:"4,domain"`
	ModelVersion    int64                  `onnx:"5,model_version"`
	DocString       string                 `onnx:"6,doc_string"`
	Graph           *Graph                 `onnx:"7,graph"`
	OpsetImports    []*OperatorSet         `onnx:"8,opset_import"`
	Metadata        []*StringEntry         `onnx:"14,metadata_props"`
	TrainingInfo    []*TrainingInfo        `onnx:"20,training_info"`
	Functions       []*Function            `onnx:"25,functions"`
	Configurations  []*DeviceConfiguration `onnx:"26,configuration"`
}

// OperatorSet is OperatorSetIdProto. The empty domain and "ai.onnx" both mean ONNX's own operators.
type OperatorSet struct {
	message
	Domain  string `onnx:"1,domain"`
	Version int64  `onnx:"2,version"`
}

// StringEntry is StringStringEntryProto.
type StringEntry struct {
	message
	Key   string `onnx:"1,key"`
	Value string `onnx:"2,value"`
}

// Graph is GraphProto: nodes in topological order, and the names of values that enter and leave.
type Graph struct {
	message
	Nodes                   []*Node             `onnx:"1,node"`
	Name                    string              `onnx:"2,name"`
	Initializers            []*Tensor           `onnx:"5,initializer"`
	DocString               string              `onnx:"10,doc_string"`
	Inputs                  []*ValueInfo        `onnx:"11,input"`
	Outputs                 []*ValueInfo        `onnx:"12,output"`
	ValueInfo               []*ValueInfo        `onnx:"13,value_info"`
	QuantizationAnnotations []*TensorAnnotation `onnx:"14,quantization_annotation"`
	SparseInitializers      []*SparseTensor     `onnx:"15,sparse_initializer"`
	Metadata                []*StringEntry      `onnx:"16,metadata_props"`
}

// Node is NodeProto: one call of an operator or function. An empty name among Inputs or Outputs is an optional one left out.
type Node struct {
	message
	Inputs               []string                   `onnx:"1,input"`
	Outputs              []string                   `onnx:"2,output"`
	Name                 string                     `onnx:"3,name"`
	OpType               string                     `onnx:"4,op_type"`
	Attributes           []*Attribute               `onnx:"5,attribute"`
	DocString            string                     `onnx:"6,doc_string"`
	Domain               string                     `onnx:"7,domain"`
	Overload             string                     `onnx:"8,overload"`
	Metadata             []*StringEntry             `onnx:"9,metadata_props"`
	DeviceConfigurations []*NodeDeviceConfiguration `onnx:"10,device_configurations"`
}

// Attribute is AttributeProto. Type says which of the value fields counts; F, I and S are written when Type names them
// even if they are zero. Inside a function RefAttrName may stand for the value.
type Attribute struct {
	message
	Name          string          `onnx:"1,name"`
	F             float32         `onnx:"2,f"`
	I             int64           `onnx:"3,i"`
	S             []byte          `onnx:"4,s"`
	T             *Tensor         `onnx:"5,t"`
	G             *Graph          `onnx:"6,g"`
	Floats        []float32       `onnx:"7,floats"`
	Ints          []int64         `onnx:"8,ints"`
	Strings       [][]byte        `onnx:"9,strings"`
	Tensors       []*Tensor       `onnx:"10,tensors"`
	Graphs        []*Graph        `onnx:"11,graphs"`
	DocString     string          `onnx:"13,doc_string"`
	TypeProto     *TypeProto      `onnx:"14,tp"`
	TypeProtos    []*TypeProto    `onnx:"15,type_protos"`
	Type          AttributeType   `onnx:"20,type"`
	RefAttrName   string          `onnx:"21,ref_attr_name"`
	SparseTensor  *SparseTensor   `onnx:"22,sparse_tensor"`
	SparseTensors []*SparseTensor `onnx:"23,sparse_tensors"`
}

// ValueInfo is ValueInfoProto: the name of a value and its type.
type ValueInfo struct {
	message
	Name      string         `onnx:"1,name"`
	Type      *TypeProto     `onnx:"2,type"`
	DocString string         `onnx:"3,doc_string"`
	Metadata  []*StringEntry `onnx:"4,metadata_props"`
}

// Function is FunctionProto: an operator defined by nodes of its own. It sees no names from outside.
type Function struct {
	message
	Name         string         `onnx:"1,name"`
	Inputs       []string       `onnx:"4,input"`
	Outputs      []string       `onnx:"5,output"`
	Attributes   []string       `onnx:"6,attribute"`
	Nodes        []*Node        `onnx:"7,node"`
	DocString    string         `onnx:"8,doc_string"`
	OpsetImports []*OperatorSet `onnx:"9,opset_import"`
	Domain       string         `onnx:"10,domain"`
	// AttributeProtos are attributes with a default value.
	AttributeProtos []*Attribute   `onnx:"11,attribute_proto"`
	ValueInfo       []*ValueInfo   `onnx:"12,value_info"`
	Overload        string         `onnx:"13,overload"`
	Metadata        []*StringEntry `onnx:"14,metadata_props"`
}

// TrainingInfo is TrainingInfoProto.
type TrainingInfo struct {
	message
	Initialization        *Graph         `onnx:"1,initialization"`
	Algorithm             *Graph         `onnx:"2,algorithm"`
	InitializationBinding []*StringEntry `onnx:"3,initialization_binding"`
	UpdateBinding         []*StringEntry `onnx:"4,update_binding"`
}

// TensorAnnotation is TensorAnnotation: which tensors hold a quantised tensor's parameters.
type TensorAnnotation struct {
	message
	TensorName      string         `onnx:"1,tensor_name"`
	QuantParameters []*StringEntry `onnx:"2,quant_parameter_tensor_names"`
}

// SparseTensor is SparseTensorProto: Values holds the N non-zero elements (and the name); Indices is [N] of positions in
// the flattened tensor or [N, rank] of coordinates, ascending; Dims is the dense shape.
type SparseTensor struct {
	message
	Values  *Tensor `onnx:"1,values"`
	Indices *Tensor `onnx:"2,indices"`
	Dims    []int64 `onnx:"3,dims"`
}

// DeviceConfiguration is DeviceConfigurationProto.
type DeviceConfiguration struct {
	message
	Name       string   `onnx:"1,name"`
	NumDevices int32    `onnx:"2,num_devices"`
	Devices    []string `onnx:"3,device"`
}

// NodeDeviceConfiguration is NodeDeviceConfigurationProto.
type NodeDeviceConfiguration struct {
	message
	ConfigurationID string          `onnx:"1,configuration_id"`
	ShardingSpecs   []*ShardingSpec `onnx:"2,sharding_spec"`
	PipelineStage   int32           `onnx:"3,pipeline_stage"`
}

// ShardingSpec is ShardingSpecProto.
type ShardingSpec struct {
	message
	TensorName            string              `onnx:"1,tensor_name"`
	Devices               []int64             `onnx:"2,device"`
	IndexToDeviceGroupMap []*IntIntListEntry  `onnx:"3,index_to_device_group_map"`
	ShardedDims           []*ShardedDimension `onnx:"4,sharded_dim"`
}

// IntIntListEntry is IntIntListEntryProto.
type IntIntListEntry struct {
	message
	Key    int64   `onnx:"1,key"`
	Values []int64 `onnx:"2,value"`
}

// ShardedDimension is ShardedDimProto.
type ShardedDimension struct {
	message
	Axis            int64                     `onnx:"1,axis"`
	SimpleShardings []*SimpleShardedDimension `onnx:"2,simple_sharding"`
}

// SimpleShardedDimension is SimpleShardedDimProto: of Value and Param one is set.
type SimpleShardedDimension struct {
	message
	Value     *int64 `onnx:"1,dim_value,oneof"`
	Param     string `onnx:"2,dim_param,oneof"`
	NumShards int64  `onnx:"3,num_shards"`
}

// TypeProto is the type of a value: exactly one of the pointers is set.
type TypeProto struct {
	message
	Tensor       *TensorType       `onnx:"1,tensor_type,oneof"`
	Sequence     *SequenceType     `onnx:"4,sequence_type,oneof"`
	Map          *MapType          `onnx:"5,map_type,oneof"`
	Denotation   string            `onnx:"6,denotation"`
	Opaque       *OpaqueType       `onnx:"7,opaque_type,oneof"`
	SparseTensor *SparseTensorType `onnx:"8,sparse_tensor_type,oneof"`
	Optional     *OptionalType     `onnx:"9,optional_type,oneof"`
}

// TensorType is TypeProto.Tensor. A nil Shape means an unknown rank, an empty one a scalar.
type TensorType struct {
	message
	ElemType DataType `onnx:"1,elem_type"`
	Shape    *Shape   `onnx:"2,shape"`
}

// SparseTensorType is TypeProto.SparseTensor.
type SparseTensorType struct {
	message
	ElemType DataType `onnx:"1,elem_type"`
	Shape    *Shape   `onnx:"2,shape"`
}

// SequenceType is TypeProto.Sequence.
type SequenceType struct {
	message
	ElemType *TypeProto `onnx:"1,elem_type"`
}

// OptionalType is TypeProto.Optional.
type OptionalType struct {
	message
	ElemType *TypeProto `onnx:"1,elem_type"`
}

// MapType is TypeProto.Map.
type MapType struct {
	message
	KeyType   DataType   `onnx:"1,key_type"`
	ValueType *TypeProto `onnx:"2,value_type"`
}

// OpaqueType is TypeProto.Opaque.
type OpaqueType struct {
	message
	Domain string `onnx:"1,domain"`
	Name   string `onnx:"2,name"`
}

// Shape is TensorShapeProto.
type Shape struct {
	message
	Dims []*Dimension `onnx:"1,dim"`
}

// Dimension is TensorShapeProto.Dimension: a number, a name, or (neither) unknown.
type Dimension struct {
	message
	Value      *int64 `onnx:"1,dim_value,oneof"`
	Param      string `onnx:"2,dim_param,oneof"`
	Denotation string `onnx:"3,denotation"`
}

// Segment is TensorProto.Segment: the tensor holds elements Begin…End-1 only.
type Segment struct {
	message
	Begin int64 `onnx:"1,begin"`
	End   int64 `onnx:"2,end"`
}
