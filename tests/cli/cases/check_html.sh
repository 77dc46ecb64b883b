# SPDX-License-Identifier: Apache-2.0
# The page is well-formed, loads nothing, and has every part.
"$HEADRACE" check range:200000,blocks=20 --map 'x = id * 2' --batch-rows 1000 --workers 2 --epochs 3 --touch --html report.html > /dev/null
python3 - report.html <<'END'
import sys, xml.dom.minidom
page = open(sys.argv[1], encoding='utf-8').read()
tree = xml.dom.minidom.parseString(page)
print([h.firstChild.data for h in tree.getElementsByTagName('h2')])
print(len(tree.getElementsByTagName('svg')), 'pictures', len(tree.getElementsByTagName('polyline')), 'curves')
assert 'http' not in page and 'url(' not in page and '@import' not in page and not tree.getElementsByTagName('script')
assert not [e for e in tree.getElementsByTagName('*') if e.hasAttribute('src') or e.hasAttribute('href')]
points = [p.split(',') for e in tree.getElementsByTagName('polyline') for p in e.getAttribute('points').split()]
assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 170 for x, y in points)
print(sum(len(r.getElementsByTagName('td')) == 6 for r in tree.getElementsByTagName('tr')), 'workers')
END
rm report.html
"$HEADRACE" check range:10 --html nowhere/report.html 2>&1 || echo "exit $?"
