"""A few helpers to write a static, batch-1 ONNX graph by hand."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13


class Graph:
    def __init__(self, name, shape):
        self.name, self.nodes, self.inits, self.used = name, [], [], {}
        self.inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]

    def const(self, name, value):
        self.inits.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def op(self, kind, inputs, name=None, out=None, **attrs):
        k = self.used[kind] = self.used.get(kind, -1) + 1
        name = name or f"{kind}_{k}"
        out = out or name + "_out"
        self.nodes.append(helper.make_node(kind, inputs, [out], name=name, **attrs))
        return out

    def conv(self, x, name, weight, bias, stride=1, pad=1):
        w = self.const(name + ".weight", weight.astype(np.float32))
        b = self.const(name + ".bias", bias.astype(np.float32))
        return self.op("Conv", [x, w, b], name=name, kernel_shape=list(weight.shape[2:]),
                       strides=[stride] * 2, pads=[pad] * 4, dilations=[1, 1], group=1)

    def relu(self, x):
        return self.op("Relu", [x])

    def add(self, a, b):
        return self.op("Add", [a, b])

    def subsample(self, x, name, size, channel_pad):
        """x[:, :, ::2, ::2], then channel_pad zero channels before and after."""
        i64 = lambda v: np.array(v, dtype=np.int64)
        x = self.op("Slice", [x, self.const(name + ".starts", i64([0, 0])),
                              self.const(name + ".ends", i64([size, size])),
                              self.const(name + ".axes", i64([2, 3])),
                              self.const(name + ".steps", i64([2, 2]))])
        p = channel_pad
        return self.op("Pad", [x, self.const(name + ".pads", i64([0, p, 0, 0, 0, p, 0, 0])),
                               self.const(name + ".zero", np.float32(0))], mode="constant")

    def head(self, x, size, weight, bias):
        """average pool over size x size, flatten, Gemm -> logits"""
        x = self.op("AveragePool", [x], kernel_shape=[size, size], strides=[size, size],
                    pads=[0, 0, 0, 0])
        x = self.op("Reshape", [x, self.const("flat.shape",
                                              np.array([1, weight.shape[1]], np.int64))])
        w = self.const("fc.weight", weight.astype(np.float32))
        b = self.const("fc.bias", bias.astype(np.float32))
        return self.op("Gemm", [x, w, b], out="logits", alpha=1.0, beta=1.0, transB=1)

    def save(self, path, classes, doc):
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes])]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, outputs, self.inits)
        model = helper.make_model(graph, producer_name="hecc-models",
                                  opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 7
        model.doc_string = doc
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def fold_bn(conv, bn):
    """Conv (no bias) followed by BatchNorm -> weight, bias (float64 arithmetic)."""
    d = lambda t: t.detach().double().numpy()
    scale = d(bn.weight) / np.sqrt(d(bn.running_var) + bn.eps)
    return d(conv.weight) * scale[:, None, None, None], d(bn.bias) - d(bn.running_mean) * scale
