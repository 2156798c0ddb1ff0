"""Recurrent layers that exporters wrote as plain arithmetic: proposed by structure, accepted only by proof.

An extractor proposes a `Candidate`: nodes, their input, the states in and out, the constants. `prover.prove` runs the
nodes on random inputs, states and weights, within one budget, and accepts a candidate only if exactly one cell of
`layouts.reference`, with one choice of activations, reproduces its outputs. No name and no order of nodes is evidence.

    loops ─ loop_body, loop_outputs     a Loop is one step of a cell
    steps ─ single_steps                a graph without a Loop: cells called once or several times, unroll=True
          └ unrolled ─ chained          nn.RNN by PyTorch's dynamo exporter: one product with the input for all steps
                  │
               prover ─ assignments     which layouts the shapes of stored arrays allow
                  │     gates           the same where every gate is a product of its own
                  │     machine         runs an untrusted node
                  │     nodes, constants
              recovered                 the proven layer

An example: the SimpleRNN of `fixtures/onnx_tf2onnx/opset_9`, with 11 inputs and 13 units. Names are shortened.

    seq  = Transpose (…)                                       (7, batch, 11): time first
    …, y = Loop ("", Less (0, T), 0, zeros, T, K, B, R)        body (number, running, time, h, end, k, b, r):
                                                                   p      = MatMul (h, r)
                                                                   time1  = Add (time, 1)
                                                                   x      = Gather (seq, time)
                                                                   q      = MatMul (x, k)
                                                                   s      = Add (q, b)
                                                                   a      = Add (s, p)
                                                                   out    = Tanh (a)
                                                                   h1     = Identity (out)
                                                                   going  = Less (time1, end)
                                                               gives (going, time1, h1, end, k, b, r, out)
    last = Squeeze (Slice (y, -1))

1. `loop_body` sorts what the body reads. k, b and r are carried unchanged from stored arrays: weights. h is carried,
   floating and changes: a state. time starts from a constant and changes: a counter. end is a whole number that depends
   on the input: a length. seq is read by one Gather alone: a sequence.
2. `assignments`: K (11, 13), R (13, 13) and B (13,) are the kernel, recurrent kernel and bias of a SimpleRNN; no other
   layout has arrays of these shapes, in either order.
3. `loops` runs what controls the loop (time1, going), with 5 in the place of T: it makes 5 steps and takes the places
   0, 1, 2, …: forwards, and to the end.
4. The candidate: all nodes but the Gather, so that x is the input; h before, h1 after; random numbers for K, R and B.
   `prover` runs them 10 times on 2 random x and h. Tanh is there, so SimpleRNN with "tanh" and with "linear" are tried:
   h1 differs from the reference by less than 1e-5 with "tanh", and by more than 1e-3 with "linear". One cell agrees.
5. `loop_outputs`: y is h1 in all 10 samples, so it holds the outputs of all steps. Its one reader takes the last step:
   `sequences=False`. The initial state is zero: nothing to say.
6. `Recovered`: Keras's SimpleRNN over K, R and B as they are stored, reading seq, `time_axis=0`.
"""
