"""Runs torchvision's network with the weights of a model: logits.py MODEL.onnx CONSTRUCTOR KWARGS IN.npz OUT.npz

Every tensor of the state_dict has to be among the initializers. Exits with 77 where torchvision is missing.
"""
import json, sys
try:
    import numpy as np, onnx, torch, torchvision
except ImportError:
    sys.exit(77)
path, name, kwargs, source, target = sys.argv[1:]
weights = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer}
net = getattr(torchvision.models, name)(**json.loads(kwargs)).eval()
state = {k: v if k.endswith('num_batches_tracked') else weights.pop(k) for k, v in net.state_dict().items()}
net.load_state_dict(state)
left = [k for k, v in weights.items() if v.dim() > 0]
assert not left, left
with torch.no_grad():
    np.savez(target, logits=net(torch.from_numpy(np.load(source)['input'])).numpy())
