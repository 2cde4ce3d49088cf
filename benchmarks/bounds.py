"""What bounds the measurements that miss their target, as a profile has shown."""

_COPY = "one copy, to mask out the padding: a NaN there survives SpeechBrain's mask"

_BITS = (
    "An AND with the bits of the elements was at {}; it needs a derivative made by hand, and was "
    "kept only where it wins twofold"
)

BOUNDS: dict[tuple[str, str], str] = {
    ("reduce_loss", ""): (
        "SpeechBrain is given a product with the mask, which a NaN survives, and masks nothing "
        "itself; we select with `where`. " + _BITS.format("1.95")
    ),
    ("compute_masked_loss", ""): (
        "both inputs of a user's loss are masked, a copy each, because NaN in the padding could "
        "reach its parameters. " + _BITS.format("1.58")
    ),
    ("bce_loss", ", lengths"): (
        "logits and targets are masked, one copy each; on 16,000 elements that is three calls of "
        "`where`, 8 µs each. " + _BITS.format("1.14 (80 classes) and 1.03")
    ),
    ("nll_loss_kd", ""): "the frames are selected with `where`. " + _BITS.format("0.98"),
    ("AAMSoftmax", ""): (
        "beside the products (15 of 33 ms) and the cross-entropy (9): normalising the centres, and "
        "the copies of their gradient"
    ),
    ("ArcMarginProduct_intertopk_subcenter", "K3"): (
        "beside the matmul (68 of 98 ms): the maximum over sub-centres 13 (its gradient is split "
        "between ties), normalising 21,615 centres 8, top-k 4, cross-entropy 4"
    ),
    ("CrossEntropy", ""): (
        "calls, not arithmetic: class weights may come from a checkpoint and may all be 0, so they "
        "are gathered, summed, clamped and divided by: most of the 15 µs beyond DeepFense's 51"
    ),
    ("OCSoftmax", ""): (
        "embeddings are normalised before the product, 107 of 237 µs; dividing after it, as "
        "DeepFense does, would save 22 µs and overflow in half precision"
    ),
    ("ASoftmax", ""): "embeddings are normalised before the product, which keeps one copy of them",
    ("ASVSpoofBinaryLoss", "executorch"): (
        "its score is its input: eager returns it in 1 µs, and a call of the runtime costs 7 µs"
    ),
    ("ctc_loss", ""): _COPY,
    ("ctc_loss_kd", ""): _COPY,
    ("get_mask", ""): "the time axis is laid out once and cast once, to floating point",
    ("get_snr_with_pitwrapper", ""): (
        "sources are copied to the front once, so that sums over time are contiguous in memory"
    ),
    ("LogSoftmaxWrapper", ""): "the log-likelihoods of the frames are masked by their lengths",
}
"""By name, and a part of the shape or the backend."""


def bound(name: str, shape: str) -> str:
    """The explanation of a measurement, or nothing."""
    for (entry, part), text in BOUNDS.items():
        if entry == name and part in shape:
            return text
    return ""
