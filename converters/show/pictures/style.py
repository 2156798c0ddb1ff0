"""The style of drawings and pages: light and dark by the reader's own setting, and on paper."""

_LIGHT = """--paper:#fff; --ink:#1a1d21; --soft:#5b636e; --line:#c9ced6; --box:#f4f6f9;
  --bad:#b3261e; --care:#8a5a00; --link:#0b57a4;"""
_DARK = """--paper:#15181c; --ink:#e8eaed; --soft:#a3abb6; --line:#454c56; --box:#20252b;
  --bad:#ff8a80; --care:#f0b849; --link:#7fb8ff;"""
_FONT = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif'
_EXACT = "-webkit-print-color-adjust:exact; print-color-adjust:exact;"

DRAWING = f"""
:root {{ color-scheme:light dark; {_LIGHT} }}
@media (prefers-color-scheme:dark) {{ :root {{ {_DARK} }} }}
@media print {{ :root {{ {_LIGHT} }} }}
svg {{ font-family:{_FONT}; font-size:12px; {_EXACT} }}
text {{ fill:var(--ink); }}
text.soft {{ fill:var(--soft); font-size:11px; }}
text.name {{ font-weight:600; }}
text.over {{ paint-order:stroke; stroke:var(--paper); stroke-width:3px; stroke-linejoin:round; }}
text.letter {{ font-weight:700; text-anchor:middle; dominant-baseline:central; }}
text.middle {{ text-anchor:middle; }}
text.end {{ text-anchor:end; }}
text.bad {{ fill:var(--bad); }}
text.care {{ fill:var(--care); }}
.paper {{ fill:var(--paper); }}
.block {{ stroke:var(--paper); stroke-width:1; }}
.hollow {{ fill:var(--box); stroke-width:1.5; stroke-dasharray:3 2; }}
.ribbon {{ opacity:.38; }}
.ribbon:hover {{ opacity:.8; }}
.badge {{ fill:var(--paper); stroke:var(--soft); }}
.mark {{ font-size:11px; text-anchor:middle; dominant-baseline:central; }}
.node {{ fill:var(--box); stroke:var(--line); }}
.node.plain {{ fill:var(--paper); }}
.node.end {{ fill:var(--paper); stroke-dasharray:4 3; }}
.node.bad {{ stroke:var(--bad); stroke-width:2; }}
.edge {{ fill:none; stroke:var(--soft); stroke-width:1.3; }}
.edge.mask {{ stroke-dasharray:5 3; stroke:var(--care); }}
.tip {{ fill:var(--soft); }}
.tip.mask {{ fill:var(--care); }}
.group {{ fill:var(--link); fill-opacity:.06; stroke:var(--link); stroke-opacity:.45; stroke-dasharray:2 3; }}
"""
"""What drawings need, alone or in a page."""

PAGE = f"""
body {{ margin:0; background:var(--paper); color:var(--ink); font:15px/1.5 {_FONT}; }}
main {{ max-width:72rem; margin:0 auto; padding:1.5rem; overflow-wrap:anywhere; }}
h1 {{ font-size:1.5rem; margin:.2em 0; }}
h2 {{ font-size:1.2rem; margin:2em 0 .5em; }}
h3 {{ font-size:1rem; margin:0; }}
p, ul {{ margin:.4em 0; }}
ul {{ padding-left:1.2em; }}
a {{ color:var(--link); }}
svg a text.name {{ fill:var(--link); }}
code {{ font:13px ui-monospace, "DejaVu Sans Mono", monospace; }}
.soft {{ color:var(--soft); }}
.bad {{ color:var(--bad); }}
.care {{ color:var(--care); }}
.scroll {{ overflow-x:auto; max-width:100%; }}
.beside {{ display:flex; flex-wrap:wrap; gap:0 2rem; align-items:flex-start; }}
.beside > .words {{ flex:1 1 18rem; }}
svg {{ display:block; }}
section {{ border:1px solid var(--line); border-radius:6px; padding:.8rem 1rem; margin:1rem 0; }}
section:target {{ outline:3px solid var(--link); }}
section.bad {{ color:inherit; border-color:var(--bad); border-width:2px; }}
table {{ border-collapse:collapse; font-size:13px; margin:.5em 0; }}
th, td {{ text-align:left; padding:.15em .9em .15em 0; vertical-align:top; }}
th {{ color:var(--soft); font-weight:600; border-bottom:1px solid var(--line); }}
.key {{ display:inline-block; min-width:1.4em; padding:0 .3em; margin:0 .3em 0 .9em; border-radius:3px;
  text-align:center; font-weight:700; {_EXACT} }}
.key:first-child {{ margin-left:0; }}
@media print {{
  main {{ max-width:none; padding:0; }}
  h2, h3 {{ break-after:avoid; }}
  .beside > .scroll, table {{ break-inside:avoid; }}
  .scroll {{ overflow:visible; }}
  svg {{ max-width:100%; height:auto; }}
}}
"""
"""What a page needs beside."""
