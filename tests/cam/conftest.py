import pytest
import torch
import torchvision


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def network():
    """Build a torchvision network once, with ten classes and batch statistics that are not the defaults."""
    made = {}

    def build(name):
        if name not in made:
            torch.manual_seed(0)
            options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            if name == "googlenet":
                options["aux_logits"] = False
            if name == "inception_v3":
                options["aux_logits"] = False
            made[name] = torchvision.models.get_model(name, weights=None, num_classes=10, **options)
            for module in made[name].modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
                    torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        return made[name].eval()

    return build
