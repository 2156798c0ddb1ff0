"""Recurrent modules as people write them: classifiers, taggers, translators, forecasters, readers of pictures."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

WORDS = 11


class SentimentLSTM(nn.Module):
    """Embedding, LSTM, the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 3, padding_idx=0)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(5, 2)

    def forward(self, text: Tensor) -> Any:
        embedded = self.dropout(self.embedding(text))
        _, (hidden, _) = self.lstm(embedded)
        return torch.sigmoid(self.fc(hidden[-1]))


class StatesFromSizes(nn.Module):
    """h0 and c0 of zeros, made for the batch."""

    def __init__(self, hidden_size: int = 5, num_layers: int = 2) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.lstm = nn.LSTM(3, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, 7)

    def forward(self, x: Tensor) -> Any:
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        out, _ = self.lstm(x, (h0, c0))
        out = self.fc(out[:, -1, :])
        return out


class BidirectionalStates(nn.Module):
    """Twice as many states, on the device of the input; the last step of both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Any:
        h0 = torch.zeros(2 * 2, x.shape[0], 5, device=x.device, dtype=x.dtype)
        out, _ = self.gru(x, h0)
        return self.fc(out[:, -1])


class NewZeros(nn.Module):
    """States by `new_zeros`, of the input and of a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(3, 5, batch_first=True)
        self.gru = nn.GRU(5, 7, batch_first=True)

    def init_hidden(self, batch_size: int) -> Tensor:
        weight = next(self.parameters())
        return weight.new_zeros(1, batch_size, 7)

    def forward(self, x: Tensor) -> Any:
        y, _ = self.rnn(x, x.new_zeros(1, x.size(0), 5))
        y, h = self.gru(y, self.init_hidden(x.size(0)))
        return y, h.squeeze(0)


class TimeFirst(nn.Module):
    """A word language model: time first, decoder over every step, hidden given or not."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(WORDS, 3)
        self.rnn = nn.LSTM(3, 5, 2, dropout=0.2)
        self.decoder = nn.Linear(5, WORDS)

    def forward(self, input: Tensor, hidden: Any = None) -> Any:
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        output = self.drop(output)
        decoded = self.decoder(output.view(output.size(0) * output.size(1), output.size(2)))
        return F.log_softmax(decoded, dim=1)


class CharRNN(nn.Module):
    """Characters one hot, every step."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(WORDS, 5, 2, batch_first=True)
        self.fc = nn.Linear(5, WORDS)

    def forward(self, x: Tensor) -> Any:
        one_hot = F.one_hot(x, num_classes=WORDS).float()
        out, _ = self.gru(one_hot)
        out = out.contiguous().view(-1, 5)
        return self.fc(out)


class LastStatesSideBySide(nn.Module):
    """torch.cat of both last states, ReLU between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(WORDS, 3)
        self.lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True, dropout=0.3)
        self.fc1 = nn.Linear(10, 7)
        self.fc2 = nn.Linear(7, 2)

    def forward(self, text: Tensor) -> Any:
        _, (h, _) = self.lstm(self.emb(text).permute(1, 0, 2))
        hidden = torch.cat((h[-2, :, :], h[-1, :, :]), dim=1)
        return self.fc2(F.relu(self.fc1(F.dropout(hidden, 0.5, self.training))))


class CRNN(nn.Module):
    """A reader of lines: convolutions, height into channels, BiLSTMs."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 3, 3, 1, 1),
            nn.BatchNorm2d(3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(3, 5, kernel_size=(3, 3), padding=(0, 1)),
            nn.LeakyReLU(0.1, inplace=True),
        )
        self.rnn = nn.Sequential(Encode(5, 7, 7), Encode(7, 7, 2))

    def forward(self, input: Tensor) -> Any:
        conv = self.cnn(input)
        _, _, h, _ = conv.size()
        assert h == 1, "the height of conv must be 1"
        conv = conv.squeeze(2)
        conv = conv.permute(2, 0, 1)
        return self.rnn(conv)


class Encode(nn.Module):
    """A BiLSTM and a head on each step, as one axis of time and batch."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, hidden, bidirectional=True)
        self.embedding = nn.Linear(hidden * 2, outputs)

    def forward(self, input: Tensor) -> Any:
        recurrent, _ = self.rnn(input)
        T, b, h = recurrent.size()
        t_rec = recurrent.view(T * b, h)
        output = self.embedding(t_rec)
        return output.view(T, b, -1)


class CnnLstm(nn.Module):
    """Frames through a CNN, then a GRU over them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Any:
        batch_size, timesteps, C, H, W = x.size()
        c_in = x.view(batch_size * timesteps, C, H, W)
        c_out = self.pool(F.relu(self.conv1(c_in)))
        r_in = c_out.view(batch_size, timesteps, -1)
        r_out, _ = self.gru(r_in)
        return self.fc(r_out[:, -1, :])


class Tagger(nn.Module):
    """The tutorial's tagger: one sentence, squeezed."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(WORDS, 3)
        self.lstm = nn.LSTM(3, 5)
        self.hidden2tag = nn.Linear(5, 2)

    def forward(self, sentence: Tensor) -> Any:
        embeds = self.word_embeddings(sentence)
        lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
        tag_space = self.hidden2tag(lstm_out.view(len(sentence), -1))
        return F.log_softmax(tag_space, dim=1)


class CrfEmissions(nn.Module):
    """The emissions of a BiLSTM-CRF; the transitions are another's business."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 3)
        self.bilstm = nn.LSTM(3, 5 // 2 + 1, bidirectional=True, batch_first=True)
        self.norm = nn.LayerNorm(6)
        self.classifier = nn.Linear(6, 2)

    def forward(self, input_ids: Tensor) -> Any:
        sequence_output = self.norm(self.bilstm(self.embed(input_ids))[0])
        return self.classifier(F.dropout(sequence_output, p=0.1, training=self.training))


class Autoencoder(nn.Module):
    """The last state repeated over time."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(3, 5, batch_first=True)
        self.decoder = nn.LSTM(5, 5, batch_first=True)
        self.output_layer = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Any:
        seq_len = x.shape[1]
        _, (h, _) = self.encoder(x)
        z = h[-1].unsqueeze(1).repeat(1, seq_len, 1)
        y, _ = self.decoder(z)
        return self.output_layer(y)


class ExpandedAutoencoder(nn.Module):
    """The same by expand, and states handed over."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(3, 5, batch_first=True)
        self.decoder = nn.GRU(5, 5, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Any:
        _, h = self.encoder(x)
        z = h.transpose(0, 1).expand(-1, x.size(1), -1)
        y, _ = self.decoder(z, h)
        return self.out(y)


class Forecaster(nn.Module):
    """Time series: BatchNorm over features, ReLU, several steps ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(3)
        self.lstm = nn.LSTM(input_size=3, hidden_size=5, num_layers=1, batch_first=True)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(5, 2 * 3)

    def forward(self, x: Tensor) -> Any:
        x = self.bn(x.transpose(1, 2)).transpose(1, 2)
        hidden = (torch.zeros(1, x.size(0), 5), torch.zeros(1, x.size(0), 5))
        out, hidden = self.lstm(x, hidden)
        y = self.linear(self.relu(out[:, -1, :]))
        return y.view(-1, 2, 3)


class DimensionChecked(nn.Module):
    """Branches on the number of axes, and on sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Any:
        if x.dim() == 2:
            x = x.unsqueeze(-1)
        if x.shape[-1] != self.gru.input_size:
            raise ValueError(f"expected {self.gru.input_size} features, got {x.shape[-1]}")
        out, _ = self.gru(x)
        return self.head(out[:, -1])


class Layers(nn.Module):
    """A loop over a ModuleList, residuals, layer norms."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3, 5)
        self.layers = nn.ModuleList([nn.GRU(5, 5, batch_first=True) for _ in range(3)])
        self.norms = nn.ModuleList([nn.LayerNorm(5) for _ in range(3)])

    def forward(self, x: Tensor) -> Any:
        x = self.project(x)
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            residual = x
            x, _ = layer(norm(x))
            if i > 0:
                x = x + residual
        return x.mean(1)


class Base(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return self.rnn(x)[0]


class Derived(Base):
    """super().forward, and keywords."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(input_size=3, hidden_size=5, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Linear(10, 7), nn.GELU(), nn.Linear(7, 2))

    def forward(self, x: Tensor) -> Any:
        y = super().forward(x=x)
        return {"logits": self.head(y), "features": y}


class AttentionClassifier(nn.Module):
    """Weights for every step by a linear layer and a softmax; a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 3)
        self.lstm = nn.LSTM(3, 5, bidirectional=True, batch_first=True)
        self.attention = nn.Linear(10, 1)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Any:
        H, _ = self.lstm(self.embedding(x))
        attn = F.softmax(self.attention(torch.tanh(H)), dim=1)
        context = torch.sum(attn * H, dim=1)
        return self.fc(context)


class DotAttention(nn.Module):
    """The last state as a query, by bmm."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Any:
        output, (final_hidden, _) = self.lstm(x)
        hidden = final_hidden.squeeze(0)
        weights = torch.bmm(output, hidden.unsqueeze(2)).squeeze(2)
        soft = F.softmax(weights, 1)
        context = torch.bmm(output.transpose(1, 2), soft.unsqueeze(2)).squeeze(2)
        return self.fc(context), soft


class Seq2Seq(nn.Module):
    """Encoder, decoder with teacher forcing, dot attention over all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(WORDS, 3)
        self.target = nn.Embedding(13, 3)
        self.encoder = nn.GRU(3, 5, batch_first=True)
        self.decoder = nn.GRU(3, 5, batch_first=True)
        self.out = nn.Linear(10, 13)

    def forward(self, src: Tensor, tgt: Tensor) -> Any:
        memory, state = self.encoder(self.source(src))
        out, _ = self.decoder(self.target(tgt), state)
        scores = torch.matmul(out, memory.transpose(-2, -1)) / 5**0.5
        context = torch.matmul(scores.softmax(dim=-1), memory)
        return self.out(torch.cat([out, context], dim=-1))


class BahdanauDecoder(nn.Module):
    """Additive attention, a step at a time over the target."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(3, 5, batch_first=True)
        self.Wa = nn.Linear(5, 5)
        self.Ua = nn.Linear(5, 5)
        self.Va = nn.Linear(5, 1)
        self.gru = nn.GRU(3 + 5, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def attend(self, query: Tensor, keys: Tensor) -> Any:
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        weights = F.softmax(scores.squeeze(2).unsqueeze(1), dim=-1)
        return torch.bmm(weights, keys), weights

    def forward(self, x: Tensor, y: Tensor) -> Any:
        keys, hidden = self.encoder(x)
        outputs = []
        for i in range(y.size(1)):
            context, _ = self.attend(hidden.permute(1, 0, 2), keys)
            step, hidden = self.gru(torch.cat((y[:, i : i + 1], context), dim=2), hidden)
            outputs.append(self.out(step))
        return torch.cat(outputs, dim=1)


class CellLoop(nn.Module):
    """LSTMCell in a loop over the time, as in the time series example."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm1 = nn.LSTMCell(3, 5)
        self.lstm2 = nn.LSTMCell(5, 5)
        self.linear = nn.Linear(5, 2)

    def forward(self, input: Tensor) -> Any:
        outputs = []
        h_t = torch.zeros(input.size(0), 5, dtype=input.dtype)
        c_t = torch.zeros(input.size(0), 5, dtype=input.dtype)
        h_t2 = torch.zeros(input.size(0), 5, dtype=input.dtype)
        c_t2 = torch.zeros(input.size(0), 5, dtype=input.dtype)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t.squeeze(1), (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            outputs += [self.linear(h_t2)]
        return torch.stack(outputs, dim=1)


class PackedClassifier(nn.Module):
    """Packed sequences, the last states of both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 3, padding_idx=0)
        self.rnn = nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, text: Tensor, text_lengths: Tensor) -> Any:
        embedded = self.embedding(text)
        packed = pack_padded_sequence(embedded, text_lengths.to("cpu"), batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.rnn(packed)
        hidden = torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)
        return self.fc(hidden)


class PackedTagger(nn.Module):
    """Packed and padded again."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 3)
        self.lstm = nn.LSTM(3, 5, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(x), lengths, batch_first=True)
        out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.fc(out)


class WaveRNN(nn.Module):
    """Conditioned steps: side inputs joined, residual GRUs, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.I = nn.Linear(1 + 3 + 2, 5)
        self.rnn1 = nn.GRU(5, 5, batch_first=True)
        self.rnn2 = nn.GRU(5 + 2, 5, batch_first=True)
        self.fc1 = nn.Linear(5 + 2, 7)
        self.fc2 = nn.Linear(7, WORDS)

    def forward(self, x: Tensor, mels: Tensor, aux: Tensor) -> Any:
        bsize = x.size(0)
        h1 = torch.zeros(1, bsize, 5)
        h2 = torch.zeros(1, bsize, 5)
        aux_idx = [2 * i for i in range(3)]
        a1 = aux[:, :, aux_idx[0] : aux_idx[1]]
        a2 = aux[:, :, aux_idx[1] : aux_idx[2]]
        x = torch.cat([x.unsqueeze(-1), mels, a1], dim=2)
        x = self.I(x)
        res = x
        x, _ = self.rnn1(x, h1)
        x = x + res
        res = x
        x = torch.cat([x, a2], dim=2)
        x, _ = self.rnn2(x, h2)
        x = x + res
        x = F.relu(self.fc1(torch.cat([x, a2], dim=2)))
        return F.log_softmax(self.fc2(x), dim=-1)


class SpeechModel(nn.Module):
    """DeepSpeech: convolutions over (features, time), BiGRUs time first, Hardtanh."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 3, kernel_size=(5, 3), stride=(2, 1), padding=(2, 1)), nn.BatchNorm2d(3), nn.Hardtanh(0, 20)
        )
        self.rnns = nn.ModuleList([nn.GRU(12, 5, bidirectional=True), nn.GRU(5, 5, bidirectional=True)])
        self.fc = nn.Linear(5, 7, bias=False)

    def forward(self, x: Tensor) -> Any:
        x = self.conv(x)
        sizes = x.size()
        x = x.view(sizes[0], sizes[1] * sizes[2], sizes[3])
        x = x.transpose(1, 2).transpose(0, 1).contiguous()
        for rnn in self.rnns:
            x, _ = rnn(x)
            x = x.view(x.size(0), x.size(1), 2, -1).sum(2).view(x.size(0), x.size(1), -1)
        return F.softmax(self.fc(x).transpose(0, 1), dim=-1)


class MaxPoolOverTime(nn.Module):
    """The largest and the mean over time, of both directions; SpatialDropout by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 3)
        self.dropout = nn.Dropout2d(0.3)
        self.lstm1 = nn.LSTM(3, 5, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 5, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(20, 2)

    def forward(self, x: Tensor) -> Any:
        h = self.embedding(x)
        h = torch.squeeze(self.dropout(torch.unsqueeze(h.transpose(1, 2), 2)), 2).transpose(1, 2)
        h, _ = self.lstm1(h)
        h, _ = self.gru(h)
        avg_pool = torch.mean(h, 1)
        max_pool, _ = torch.max(h, 1)
        return self.linear(torch.cat((avg_pool, max_pool), 1))


class TextCnnRnn(nn.Module):
    """max_pool1d by function over what a GRU gives, concatenated with what went in (RCNN)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 3)
        self.lstm = nn.LSTM(3, 5, bidirectional=True, batch_first=True)
        self.W2 = nn.Linear(13, 7)
        self.label = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Any:
        e = self.embedding(x)
        out, _ = self.lstm(e)
        y = self.W2(torch.cat((out, e), 2)).permute(0, 2, 1)
        y = F.max_pool1d(y, y.size(2)).squeeze(2)
        return self.label(torch.tanh(y))


class Gated(nn.Module):
    """Highway and GLU around a GRU; clamp; a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.gate = nn.Linear(5, 10)
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Any:
        y, _ = self.gru(x)
        y = F.glu(self.gate(y), dim=-1)
        return torch.clamp(y * self.scale, -0.5, 0.5).pow(2)


class Siamese(nn.Module):
    """One encoder, twice; the distance of what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 3)
        self.rnn = nn.GRU(3, 5, batch_first=True)

    def forward_once(self, x: Tensor) -> Any:
        return self.rnn(self.embed(x))[1][-1]

    def forward(self, a: Tensor, b: Tensor) -> Any:
        one, other = self.forward_once(a), self.forward_once(b)
        return torch.exp(-torch.sum(torch.abs(one - other), dim=1))


class DeepAR(nn.Module):
    """Two heads of a distribution, softplus."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 2)
        self.lstm = nn.LSTM(input_size=3, hidden_size=5, num_layers=2, bias=True, batch_first=False, dropout=0.1)
        self.relu = nn.ReLU()
        self.mu = nn.Linear(10, 1)
        self.presigma = nn.Linear(10, 1)
        self.sigma = nn.Softplus()

    def forward(self, x: Tensor, idx: Tensor, hidden: Tensor, cell: Tensor) -> Any:
        onehot_embed = self.embedding(idx)
        lstm_input = torch.cat((x, onehot_embed), dim=2)
        _, (hidden, cell) = self.lstm(lstm_input, (hidden, cell))
        hidden_permute = hidden.permute(1, 2, 0).contiguous().view(hidden.shape[1], -1)
        mu = self.mu(hidden_permute)
        sigma = self.sigma(self.presigma(hidden_permute))
        return torch.squeeze(mu), torch.squeeze(sigma), hidden, cell


class ImageCaption(nn.Module):
    """Features of a picture as the first step."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 3)
        self.image = nn.Linear(7, 3)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.linear = nn.Linear(5, WORDS)

    def forward(self, features: Tensor, captions: Tensor) -> Any:
        embeddings = self.embed(captions[:, :-1])
        inputs = torch.cat((self.image(features).unsqueeze(1), embeddings), dim=1)
        hiddens, _ = self.lstm(inputs)
        return self.linear(hiddens)


class LastStep(nn.Module):
    """The step of each sequence that its length tells, picked in the ways that people write."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(10, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Any:
        return self.linear(self.last(self.lstm(x)[0], lengths - 1))

    def last(self, y: Tensor, places: Tensor) -> Tensor:
        raise NotImplementedError


class LastGathered(LastStep):
    def last(self, y: Tensor, places: Tensor) -> Tensor:
        return y.gather(1, places.view(-1, 1, 1).expand(-1, 1, y.size(2))).squeeze(1)


class LastIndexed(LastStep):
    def last(self, y: Tensor, places: Tensor) -> Tensor:
        return y[torch.arange(y.size(0)), places]


class LastClamped(LastStep):
    def last(self, y: Tensor, places: Tensor) -> Tensor:
        wide = places.clamp(min=0).unsqueeze(1).unsqueeze(2).expand(y.size(0), 1, y.size(2))
        return torch.gather(y, 1, wide).squeeze(1)


class LastRepeated(LastStep):
    def last(self, y: Tensor, places: Tensor) -> Tensor:
        return y.gather(dim=1, index=places.view(-1, 1).repeat(1, y.size(2)).unsqueeze(1))[:, 0]


def words(*shape: int) -> Tensor:
    return torch.randint(1, WORDS, shape, generator=torch.Generator().manual_seed(1))


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


MODELS: dict[type[nn.Module], tuple[Tensor, ...]] = {
    SentimentLSTM: (words(2, 7),),
    StatesFromSizes: (numbers(2, 7, 3),),
    BidirectionalStates: (numbers(2, 7, 3),),
    NewZeros: (numbers(2, 7, 3),),
    TimeFirst: (words(7, 2),),
    CharRNN: (words(2, 7),),
    LastStatesSideBySide: (words(2, 7),),
    CRNN: (numbers(2, 1, 6, 11),),
    CnnLstm: (numbers(2, 7, 1, 5, 6),),
    Tagger: (words(7),),
    CrfEmissions: (words(2, 7),),
    Autoencoder: (numbers(2, 7, 3),),
    ExpandedAutoencoder: (numbers(2, 7, 3),),
    Forecaster: (numbers(2, 7, 3),),
    DimensionChecked: (numbers(2, 7, 3),),
    Layers: (numbers(2, 7, 3),),
    Derived: (numbers(2, 7, 3),),
    AttentionClassifier: (words(2, 7),),
    DotAttention: (numbers(2, 7, 3),),
    Seq2Seq: (words(2, 7), words(2, 4)),
    BahdanauDecoder: (numbers(2, 7, 3), numbers(2, 4, 3)),
    CellLoop: (numbers(2, 7, 3),),
    PackedClassifier: (words(2, 7), torch.tensor([4, 7])),
    PackedTagger: (words(2, 7), torch.tensor([7, 4])),
    WaveRNN: (numbers(2, 7), numbers(2, 7, 3), numbers(2, 7, 4)),
    SpeechModel: (numbers(2, 1, 7, 11),),
    MaxPoolOverTime: (words(2, 7),),
    TextCnnRnn: (words(2, 7),),
    Gated: (numbers(2, 7, 3),),
    Siamese: (words(2, 7), words(2, 4)),
    DeepAR: (numbers(1, 2, 1), words(1, 2) % 7, numbers(2, 2, 5), numbers(2, 2, 5)),
    ImageCaption: (numbers(2, 7), words(2, 4)),
    LastGathered: (numbers(2, 7, 3), torch.tensor([7, 4])),
    LastIndexed: (numbers(2, 7, 3), torch.tensor([7, 4])),
    LastClamped: (numbers(2, 7, 3), torch.tensor([7, 4])),
    LastRepeated: (numbers(2, 7, 3), torch.tensor([7, 4])),
}
"""Every module, and inputs for it."""
