#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Bad configurations, each with the one line that nginx says about it.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

my $name = 'must be a lower-case letter, then lower-case letters, digits or'
    . ' "_", at most 63 in all';
my $taken = 'must not be "decisions" nor begin with "geo", which name other'
    . ' variables';
my $suffix = 'must not end in "_upstream", "_reason", "_rule", "_bucket",'
    . ' "_revision", "_outcome", "_failures" or "_ttfb", which name'
    . ' other variables';
my $prefix = 'must be in a location that is given by a prefix, as the API\'s'
    . ' paths begin where it ends';
my $alone = 'must be in a location of its own, without the other one of'
            . ' "gray_admin" and "gray_metrics"';
my $variant = 'must be an upstream, then weight=N% from 0% to 100%';
my $named = 'must be a letter, then letters, digits, "_", "-" or ".", at most'
    . ' 63 in all';
my $cookie = 'must be expires=TIME, domain=DOMAIN, path=PATH, secure,'
    . ' httponly or samesite=lax|strict|none';
my $token = "must be a cookie's name of 1 to 63 characters, without"
    . ' separators';
my $time = 'must be a time with a unit, as "30d" or "12h"';
my $text = 'must be 1 to 255 printable characters without space, ";" and ","';
my $condition = 'in "match", must be ATTRIBUTE OPERATOR VALUE, where the'
    . ' operator is one of = != ~ ~* !~ !~* in !in prefix suffix cidr < <= >'
    . ' >= version_lt version_lte version_gt version_gte in_list cidr_list'
    . ' with a value, or exists with none';
my $attribute = 'there are variables of nginx, as "$remote_addr", geo.PATH,'
    . ' device, time and percent';
my $network = 'must be an IPv4 or IPv6 address or network, as "10.0.0.0/8" or'
    . ' "2001:db8::/32"';
my $above = 'takes the place of all other directives but "zone"';

my $long = 'a' x 64;


# what stands in http{}, and the message, without its place

my @http = (

    # gray_zone

    'gray_zone;'   => arguments('gray_zone'),
    'gray_zone z;' => arguments('gray_zone'),
    map({
        ("gray_zone z $_;" => qq(invalid size "$_" of gray_zone "z", must be)
                              . ' a size of at least 32k')
    } qw(x 4k 31k -1 1mb)),
    map({ ("gray_zone \"$_\" 1m;"
          => qq(invalid name "$_" of gray_zone, must be UTF-8, and not empty))
        } '', "\xff", "z\xc3", "\xed\xa0\x80z"),
    map({
        ("gray_zone z 1m document=$_;" =>
             qq(invalid document size "$_" of gray_zone "z", must be a size)
             . ' from 1k to 1m')
    } '', 'x', '1023', '1025k', '2m'),
    'gray_zone z 1m document=8k document=8k;' =>
        'duplicate parameter "document=8k" of gray_zone',
    map({
        ("gray_zone z 1m $_;" => qq(invalid parameter "$_" of gray_zone, must)
                                 . ' be document=SIZE, state=DIR,'
                                 . ' history=N or stats=on|off')
    } qw(documents=8k states=x stat=on 8k)),
    map({
        ("gray_zone z 1m state=x history=$_;" =>
             qq(invalid history "$_" of gray_zone "z", must be a number from)
             . ' 2 to 1000')
    } '', 'x', 0, 1, -1, 1001, '10k'),
    'gray_zone z 1m state=x history=2 history=2;' =>
        'duplicate parameter "history=2" of gray_zone',
    'gray_zone z 1m history=2;' =>
        'history of gray_zone "z" needs state=DIR',
    map({
        ("gray_zone z 1m stats=$_;" =>
             qq(invalid stats "$_" of gray_zone "z", must be on or off))
    } '', qw(maybe ON of offf 1)),
    'gray_zone z 1m stats=on stats=off;' =>
        'duplicate parameter "stats=off" of gray_zone',
    'gray_zone z 1m stats=off stats=off;' =>
        'duplicate parameter "stats=off" of gray_zone',
    'gray_zone z 1m; gray_zone z 1m;' => 'duplicate gray_zone "z"',
    'gray_zone z 1m; gray_zone z 2m;' =>
        'the size 2097152 of shared memory zone "z" conflicts with already'
        . ' declared size 1048576',
    'limit_req_zone $uri zone=z:1m rate=1r/s; gray_zone z 1m;' =>
        'the shared memory zone "z" is already declared for a different use',
    'server { gray_zone z 1m; }' => here('gray_zone'),

    # gray_release

    'gray_release;'          => 'directive "gray_release" has no opening "{"',
    'gray_release a;'        => 'directive "gray_release" has no opening "{"',
    'gray_release a b { }'   => arguments('gray_release'),
    'gray_release a { }'     => 'no "zone" in gray_release "a"',
    'gray_release a { zone z; variant v; }' =>
        'no gray_zone "z" for gray_release "a"',
    'gray_zone z 1m; gray_release a { zone y; variant v; }' =>
        'no gray_zone "y" for gray_release "a"',
    map({
        ("gray_release $_ { }" => qq(invalid name "$_" of gray_release, $name))
    } qw(Checkout checkOut 1a _a a-b a.b $a), $long),
    'gray_release "" { }' => qq(invalid name "" of gray_release, $name),
    map({
        ("gray_release $_ { }" =>
             qq(invalid name "$_" of gray_release, $taken))
    } qw(decisions geo geoip geometry)),
    map({
        ("gray_release x$_ { }" =>
             qq(invalid name "x$_" of gray_release, $suffix))
    } qw(_upstream _reason _rule _bucket _revision _outcome _failures
         _ttfb)),
    'gray_zone z 1m; gray_release a { zone z; variant v; } gray_release a { }'
        => 'duplicate gray_release "a"',
    'upstream a { server 127.0.0.1:1; } upstream v1 { server 127.0.0.1:1; }'
        . ' gray_zone z 1m; gray_release a { zone z; variant v v1; }' =>
        'duplicate upstream "a"',
    'upstream v1 { server 127.0.0.1:1; } gray_zone z 1m; gray_release a {'
        . ' zone z; variant v v1; } upstream a { server 127.0.0.1:1; }' =>
        'duplicate upstream "a"',
    'gray_zone z 1m; gray_release a { zone z; variant v no_such; }' =>
        'invalid "variant" in gray_release "a": /variants/v/upstream: no'
        . ' upstream "no_such"; there are none',
    'gray_zone z 1m; gray_release a { zone z; variant v b; } gray_release b {'
        . ' zone z; variant v; }' =>
        'invalid "variant" in gray_release "a": /variants/v/upstream: "b" is'
        . ' a release; a variant needs an upstream or an address',
    'server { gray_release a { } }' => here('gray_release'),
    'gray_zone z 1m; gray_release a { zone z; gray_release b { } }' =>
        here('gray_release'),
    'gray_zone z 1m; gray_release a { zone z; server { } }' => here('server'),
    'gray_release a { zone z; variant v;' =>
        'unexpected end of file, expecting "}"',

    # the variables of a release

    map({
        my ($variable, $directive) = @$_;
        my $release = 'gray_zone z 1m; gray_release a { zone z; variant v; }';

        ("$directive $release" =>
             qq(the variable "\$$variable" is that of gray_release "a", it)
             . ' cannot be given another value',
         "$release $directive" => qq(the duplicate "$variable" variable))
    } [ 'gray_a', 'server { set $gray_a x; }' ],
      [ 'gray_a_rule', 'map $uri $gray_a_rule { default x; }' ],
      [ 'gray_a_bucket', 'geo $gray_a_bucket { default 1; }' ],
      [ 'gray_a_revision', 'split_clients $uri $gray_a_revision { * 1; }' ],
      [ 'gray_a_reason', 'server { auth_request_set $gray_a_reason x; }' ]),
    'map $uri $gray_decisions { default x; }' =>
        'the duplicate "gray_decisions" variable',

    # what is made for the block alone, and what is not there

    map({ ("$_ x;" => here($_)) }
        qw(zone hash cookie salt baseline fallback variant match document)),
    'upstream u { server 127.0.0.1:1; variant a; }' => here('variant'),
    'server { location / { gray_nothing; } }' => unknown('gray_nothing'),

    # gray_admin

    'gray_admin;'            => here('gray_admin'),
    'server { gray_admin; }' => here('gray_admin'),
    'server { location ~ /x { gray_admin; } }' =>
        qq("gray_admin" directive $prefix),
    'server { location @x { gray_admin; } }' =>
        qq("gray_admin" directive $prefix),
    'server { location / { gray_admin; gray_admin; } }' =>
        duplicate('gray_admin'),
    'server { location / { gray_admin write; } }' =>
        'invalid parameter "write", must be "readonly" or "remote"',
    map({
        ("server { location / { gray_admin $_ $_; } }" =>
             qq(duplicate parameter "$_"))
    } qw(readonly remote)),
    'server { location / { gray_admin remote readonly x; } }' =>
        arguments('gray_admin'),

    # gray_metrics

    'gray_metrics;'            => here('gray_metrics'),
    'server { gray_metrics; }' => here('gray_metrics'),
    'server { location / { if ($uri) { gray_metrics; } } }' =>
        here('gray_metrics'),
    'server { location / { limit_except GET { gray_metrics; } } }' =>
        here('gray_metrics'),
    'server { location / { gray_metrics; gray_metrics remote; } }' =>
        duplicate('gray_metrics'),
    'server { location / { gray_admin; gray_metrics; } }' =>
        qq("gray_metrics" directive $alone),
    'server { location / { gray_metrics; gray_admin; } }' =>
        qq("gray_admin" directive $alone),
    map({
        ("server { location / { gray_metrics $_; } }" =>
             qq(invalid parameter "@{[ s/"//gr ]}", must be "remote" or)
             . ' "ingress_nginx"')
    } qw(readonly remotes Remote on ingress-nginx "")),
    map({
        ("server { location / { gray_metrics $_ $_; } }" =>
             qq(duplicate parameter "$_"))
    } qw(remote ingress_nginx)),
    'server { location / { gray_metrics remote ingress_nginx x; } }' =>
        arguments('gray_metrics'),
);


# what stands in gray_release, behind "zone z; variant a v1; variant b v2"

my @block = (
    'fall_back off;'     => unknown('fall_back'),
    'ramp 5%;'           => unknown('ramp'),
    'weight b 5%;'       => unknown('weight'),

    # zone

    'zone z;'   => duplicate('zone'),
    'zone;'     => arguments('zone'),
    'zone y x;' => arguments('zone'),

    # hash

    'hash;'                   => arguments('hash'),
    'hash $arg_a; hash $uri;' => duplicate('hash'),
    map({
        ("hash $_;" =>
             invalid('hash', '/hash/0: must be a variable, as "$cookie_uid"'))
    } 'uid', '$'),
    map({
        ("hash \"$_\";" =>
             invalid('hash', "/hash/0: \"$_\" is no variable, must be \"\$\","
                     . ' then letters, digits or "_"'))
    } '$arg_a$arg_b', '$arg_a x'),
    'hash $arg_a $nosuch;' => invalid('hash', '/hash/1: unknown variable'
                              . ' "$nosuch", this nginx has none of that'
                              . ' name'),
    'hash ' . join(' ', map { "\$arg_a$_" } 1 .. 17) . ';' =>
        invalid('hash', '/hash: must have 1 to 16 variables'),
    'hash $gray_app;' => qr/^invalid "hash" in gray_release "app": .*gray_app/,

    # cookie

    'cookie;'             => arguments('cookie'),
    'cookie a; cookie b;' => duplicate('cookie'),
    map({
        ("cookie $_;" => invalid('cookie', "/cookie/name: $token"))
    } '""', '"a b"', 'a=b', '"a;b"', $long),
    map({
        my ($name) = /(\w+)=/;
        ("cookie a $_;" => invalid('cookie', "/cookie/$name: $text"))
    } 'path=', '"path=/ x"', '"path=/;x"', 'path=/' . 'x' x 255, 'domain=',
      '"domain=a,b"'),
    map({
        ("cookie a expires=$_;" => invalid('cookie',
                                           "/cookie/expires: $time"))
    } '', 'abc', '0', '-1d', '5x'),
    'cookie a samesite=maybe;' =>
        invalid('cookie',
                '/cookie/samesite: must be "lax", "strict" or "none"'),
    'cookie a samesite=none httponly;' =>
        invalid('cookie', '/cookie/samesite: "none" needs "secure": browsers'
                          . ' drop the cookie otherwise'),
    map({
        ("cookie a $_;" => qq(invalid parameter "$_" of "cookie", $cookie))
    } qw(expires max-age=5 secured samesite)),
    map({
        ("cookie a $_ $_;" => qq(duplicate parameter "$_" of "cookie"))
    } qw(expires=1d domain=a path=/ secure httponly samesite=lax)),

    # salt, baseline

    'salt;'         => arguments('salt'),
    'salt x y;'     => arguments('salt'),
    'salt x;salt y;' => duplicate('salt'),
    map({
        ("salt $_;" => invalid('salt',
                               '/salt: must be a string of 1 to 255 bytes'))
    } '""', 'x' x 256),
    'baseline;'               => arguments('baseline'),
    'baseline b weight=5%;'   => arguments('baseline'),
    'baseline a; baseline a;' => duplicate('baseline'),
    map({
        ("baseline $_;" => invalid('baseline', '/baseline: no variant "'
                                   . s/"//gr . '"; there are a, b'))
    } qw(c ""), '$host'),

    # fallback

    'fallback;'                      => arguments('fallback'),
    'fallback off baseline;'         => arguments('fallback'),
    'fallback off; fallback off;'    => duplicate('fallback'),
    map({
        ("fallback $_;" => invalid('fallback',
                                   '/fallback: must be "off" or "baseline"'))
    } qw(on a Off ""), '$host'),

    # variant

    'variant;'                   => arguments('variant'),
    'variant c v1 weight=1% x;'  => arguments('variant'),
    'variant a v2;'              => 'duplicate variant "a"',
    map({
        ("variant c v1 $_;" => qq(invalid parameter "@{[ s/"//gr ]}" of)
                               . qq( variant "c", $variant))
    } qw(weight=5 weight=abc% weight=% weight= weight=5%% weight=05%
         weight=+5% weight=0x5% weight=.5% weight=5.% weight=1e999%
         weight=NaN% wieght=5% v2 "")),
    'variant c weight=1% v1;' =>
        qq(invalid parameter "v1" of variant "c", $variant),
    map({
        ("variant c v1 weight=$_%;" =>
             invalid('variant',
                     "/variants/c/weight: $_ is not within 0 to 100"))
    } qw(101 -1 100.0001)),
    'variant c v1 weight=5.00001%;' =>
        invalid('variant',
                '/variants/c/weight: 5.00001 has more than 4 decimals'),
    'variant c v1 weight=60%; variant d v1 weight=50%;' =>
        'invalid gray_release "app": /variants: the weights sum to 110, must'
        . ' be at most 100',
    'variant c v1 weight=5%; baseline c;' =>
        invalid('variant', '/variants/c/weight: the baseline has no weight,'
                           . ' it takes what the others leave'),
    map({
        ("variant c $_;" => invalid('variant',
                                    qq(/variants/c/upstream: no upstream "$_")
                                    . '; there are v1, v2'))
    } qw(v3 127.0.0.1 $host)),
    'variant c app;' =>
        invalid('variant', '/variants/c/upstream: "app" is a release; a'
                           . ' variant needs an upstream or an address'),
    'variant c;' => 'invalid gray_release "app": /variants: must all have an'
                    . ' upstream, or none',
    'variant c 127.0.0.1:99999;' =>
        'invalid port in upstream "127.0.0.1:99999"',
    'variant c http://v1;' => 'invalid host in upstream "http://v1"',
    'variant c unix:;' =>
        'no path in the unix domain socket in upstream "unix:"',
    map({
        ("variant $_->[0] v1;" =>
             invalid('variant',
                     "/variants/$_->[1]: a variant's name $named"))
    } [ '1c', '1c' ], [ 'c/d', 'c~1d' ], [ 'c~d', 'c~0d' ], [ '""', '' ],
      [ $long, $long ]),
    join(' ', map { "variant v$_ v1;" } 1 .. 31) =>
        'invalid gray_release "app": /variants: has 33 variants, may have 32',

    # match: its words

    'match;'         => arguments('match'),
    'match b;'       => arguments('match'),
    map({
        my ($words) = s/(?<=\S) *\K\|(.*)//r;
        my ($shown) = /\|(.*)/;
        ("match b $words;" => qq(invalid condition "$shown" $condition))
    } '$arg_a|$arg_a ', '$arg_a =|$arg_a =', '$arg_a like x|$arg_a like',
      '$arg_a in|$arg_a in', '$arg_a exists 1|$arg_a exists',
      '$arg_a < 1 2|$arg_a <', '$arg_a version_gt 1 2|$arg_a version_gt',
      '$arg_a in_list|$arg_a in_list', '$arg_a == x|$arg_a =='),
    map({
        ("match b $_;" => qr/^invalid condition " ?" \Q$condition\E$/)
    } 'and', '$arg_a = x and', 'and $arg_a = x',
      '$arg_a = x and and $arg_b = y', 'name=x'),
    'match b name=x $arg_a = x;' =>
        qq(invalid condition "name=x \$arg_a" $condition),
    map({
        ("match b \$arg_a < $_;" =>
             qq(invalid value "@{[ s/"//gr ]}" of "\$arg_a <" in "match",)
             . ' must be a number')
    } qw(x 1e999 "" 0x1)),

    # match: what it means

    'match c $arg_a = x;' =>
        rule('variant', 'no variant "c"; there are a, b'),
    'match b $nosuch = x;' =>
        rule('when/$nosuch', 'unknown variable "$nosuch", this nginx has none'
                             . ' of that name'),
    map({
        ("match b $_->[0] $_->[1];" =>
             rule("when/$_->[0]", qq(unknown attribute "$_->[0]"; $attribute)))
    } [ 'nosuch', '= x' ], [ 'devices', '= bot' ]),
    'match b geo.country.iso_code = DE;' =>
        rule('when/geo.country.iso_code', '"geo.country.iso_code" needs a'
             . ' database: "gray_geoip FILE" in nginx.conf'),
    'match b time > 5;' =>
        rule('when/time/gt', 'unknown member; there are after, before, days,'
             . ' from, to, utc_offset'),
    'match b percent < 101;' =>
        rule('when/percent/lt', 'must be a number within 0 to 100, of at'
             . ' most 4 decimals'),
    'match b $arg_a version_lt latest;' =>
        rule('when/$arg_a/version_lt', 'must be a version, a string as "2.10"'
             . ' or "1.0.0-rc.1"'),
    'match b $arg_a in_list vip;' =>
        rule('when/$arg_a/in_list',
             'lists need "state=DIR" of gray_zone "z"'),
    'match b $gray_app = a;' =>
        qr/^invalid "match" in gray_release "app": .*gray_app/,
    'match b $arg_a ~ "a(";' =>
        rule('when/$arg_a/regex',
             'invalid pattern at offset 2: missing closing parenthesis'),
    'match b $arg_a !~* x "(";' =>
        rule('when/not/$arg_a/regex/1',
             'invalid pattern at offset 1: missing closing parenthesis'),
    map({
        ("match b \$arg_a cidr $_;" => rule('when/$arg_a/cidr', $network))
    } '10.0.0.0/33', '10.0.0', '10.0.0.0/', '/8', '2001:db8::/129',
      '10.0.0.0/-1', '10.0.0.0/x'),
    'match b $arg_a cidr 10.0.0.1/8;' =>
        rule('when/$arg_a/cidr', '"10.0.0.1/8" has host bits set behind its'
                                 . ' first 8 bits, which must be zero'),
    'match b $arg_a cidr 10.0.0.0/8 2001:db8::1/32;' =>
        rule('when/$arg_a/cidr/1', '"2001:db8::1/32" has host bits set behind'
                                   . ' its first 32 bits, which must be zero'),
    'match b $arg_a = "";' =>
        rule('when/$arg_a',
             'must not be empty; absent or empty is {"exists": false}'),
    map({
        ("match b \$arg_a = x name=$_;" =>
             rule('name', "a rule's name $named"))
    } '', '1', 'a/b', $long),
    'match b $arg_a = x name=r; match b $arg_b = y name=r;' =>
        invalid('match', '/rules/1/name: is also the name of rule 0'),

    # what cannot stand in JSON

    map({
        ("$_;" => qr/^invalid "\w+" in gray_release "app": .*UTF-8/)
    } qq(salt "\xff"), qq(match b \$arg_a = "\xe9t\xe9"),
      qq(match b "\$arg_\xff" = x), qq(hash "\$arg_\xff")),
);


# the content of a file for "document"

my @document = (
    '' => no_json(1, 1, 'unexpected end, expected a value'),
    "{\n  \"variants\": {,}\n}\n" =>
        no_json(2, 16, 'expected a key in double quotes or "}"'),
    '{"baseline":"a","variants":{"a":{}}} {}' =>
        no_json(1, 38, 'expected the end of the text'),
    '{"baseline":"a","baseline":"a"}' =>
        no_json(1, 17, 'duplicate key "baseline"'),
    "\xef\xbb\xbf{}" =>
        no_json(1, 1, 'byte order mark, must be UTF-8 without it'),
    "{\"salt\":\"\xe9\"}" => no_json(1, 10, 'invalid UTF-8'),
    '[]' => 'invalid gray_release "app": must be an object',
    '{"baseline":"a","variants":{"a":{}},"color":1}' =>
        'invalid gray_release "app": /color: unknown member; there are'
        . ' enabled, baseline, fallback, hash, cookie, salt, variants, rules,'
        . ' rollout, allocation',
    '{"variants":{"a":{}}}' =>
        'invalid gray_release "app": /baseline: is missing',
    '{"baseline":"a","variants":{"a":{},"b":{}}}' =>
        'invalid gray_release "app": /variants/b/weight: is missing; every'
        . ' variant but the baseline has one',
    '{"baseline":"a","variants":{"a":{"upstream":"v3"}}}' =>
        'invalid gray_release "app": /variants/a/upstream: no upstream "v3";'
        . ' there are v1, v2',
    '{"release":"b","baseline":"a","variants":{"a":{}}}' =>
        'invalid gray_release "app": /release: must be "app", the release\'s'
        . ' name',
    ' ' x 4194305 =>
        '"%%DIR%%/document.json" is no document, must be a file of at most'
        . ' 4096k',
);


sub arguments { qq(invalid number of arguments in "$_[0]" directive) }
sub duplicate { qq("$_[0]" directive is duplicate) }
sub here      { qq("$_[0]" directive is not allowed here) }
sub unknown   { qq(unknown directive "$_[0]") }
sub invalid   { qq(invalid "$_[0]" in gray_release "app": $_[1]) }
sub rule      { invalid('match', "/rules/0/$_[0]: $_[1]") }


sub no_json {
    my ($line, $column, $detail) = @_;

    return '"%%DIR%%/document.json" is no JSON, line ' . $line
           . ", column $column: $detail";
}


# fails where nginx takes the text, or says anything but the one line

sub refused {
    my ($config, $expected, $title) = @_;

    my ($status, $said) = $t->test_config("http {\n$config\n}\n");
    my $file = $t->dir . '/test-nginx.conf';

    $said =~ s/^nginx: configuration file \S+ test failed\n//m;

    my ($message) =
        $said =~ /\Anginx: \[emerg\] (.*?)(?: in \Q$file\E:\d+)?\n\z/;

    $message = "status $status: $said"
        unless defined $message && $status == 1;

    ($title = $title || $config) =~ s/\s+/ /g;
    $title =~ s/[^\x20-\x7e]/?/g;
    $title = substr($title, 0, 64) . '...' if length $title > 68;

    if (ref $expected) {
        like($message, $expected, $title);

    } else {
        is($message, $t->expand($expected), $title);
    }
}


sub block {
    my ($text) = @_;

    return <<"END";
gray_zone z 1m;
upstream v1 { server 127.0.0.1:1; }
upstream v2 { server 127.0.0.1:2; }
gray_release app {
    zone z;
    $text
}
END
}


while (my ($config, $expected) = splice @http, 0, 2) {
    refused($config, $expected);
}

while (my ($text, $expected) = splice @block, 0, 2) {
    refused(block("variant a v1; variant b v2;\n$text"), $expected, $text);
}

while (my ($content, $expected) = splice @document, 0, 2) {
    $t->write_file('document.json', $content);
    refused(block('document document.json;'), $expected,
            "document $content");
}

$t->write_file('document.json', '{"baseline":"a","variants":{"a":{}}}');

refused(block("document document.json;$_"),
        qq("document" of gray_release "app" $above), "document and $_")
    for 'variant a v1;', 'hash $arg_a;', 'salt x;', 'baseline a;',
        'fallback off;', 'cookie c;', 'match a $arg_a = x;';

my @alone = (
    'document document.json; document document.json;' =>
        duplicate('document'),
    'variant a; fallback baseline;' =>
        invalid('fallback',
                '/fallback: "baseline" needs variants with upstreams'),
    'document;'               => arguments('document'),
    'document a.json b.json;' => arguments('document'),
    'document nowhere.json;'  => 'open() "%%DIR%%/nowhere.json" failed (2: No'
                                 . ' such file or directory)',
    'document .;' => '"%%DIR%%/." is no document, must be a file of at most'
                     . ' 4096k',
    'document "";' => qr/"document"|no document/,
    ''             => 'no "variant" in gray_release "app"',
    'variant a v1 weight=5%; variant b v2 weight=5%;' =>
        invalid('variant', '/variants/a/weight: the baseline has no weight, it'
                           . ' takes what the others leave'),
    'variant a; variant b v2;' =>
        'invalid gray_release "app": /variants: must all have an upstream, or'
        . ' none',
);

while (my ($text, $expected) = splice @alone, 0, 2) {
    refused(block($text), $expected, $text || 'nothing but a zone');
}

# the place is that of the directive, also in a file that is included

$t->write_file('rules.conf', "# rules\n\nmatch b \$arg_a = x;\n"
               . "match b \$arg_a\n      cidr\n      10.0.0.1/8;\n");

my (undef, $said) = $t->test_config(
    'http {' . block('variant a v1; variant b v2; include rules.conf;') . '}');

like($said, qr{: /rules/1/when/\$arg_a/cidr: .* in \S*/rules\.conf:[456]$}m,
     'place of a fault');

$t->done;
