#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Documents: what is taken, and what each fault is told as.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 2m document=8k;

    upstream app_v1 { server 127.0.0.1:1; }
    upstream app_v2 { server 127.0.0.1:2; }

    gray_release app {
        zone     gray;
        hash     $cookie_uid;
        variant  stable app_v1;
        variant  canary app_v2 weight=5%;
    }

    gray_release switch {
        zone     gray;
        hash     $cookie_uid;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my $base = $json->encode({
    baseline => 'stable',
    hash     => [ '$cookie_uid' ],
    variants => { stable => { upstream => 'app_v1' },
                  canary => { upstream => 'app_v2', weight => 5 } }
});


# -- the base, with something merged into it: "null" takes away

sub merge {
    my ($target, $patch) = @_;

    return $patch unless ref $patch eq 'HASH';

    $target = {} unless ref $target eq 'HASH';

    for my $key (keys %$patch) {
        if (defined $patch->{$key}) {
            $target->{$key} = merge($target->{$key}, $patch->{$key});
        } else {
            delete $target->{$key};
        }
    }

    return $target;
}


sub document {
    my ($patch) = @_;

    return $patch =~ /^=(.*)/s ? $1
                               : merge($json->decode($base),
                                       $json->decode($patch));
}


sub rule {
    my ($when) = @_;

    return qq({"rules":[{"variant":"canary","when":$when}]});
}


# details that many faults have

my $members =
    'unknown member; there are enabled, baseline, fallback, hash, cookie,'
    . ' salt, variants, rules, rollout, allocation';
my $operators =
    'unknown operator; there are eq, ne, in, not_in, prefix, suffix,'
    . ' contains, regex, cidr, lt, lte, gt, gte, version_lt, version_lte,'
    . ' version_gt, version_gte, in_list, cidr_list, exists';
my $variant =
    'a variant\'s name must be a letter, then letters, digits, "_", "-"'
    . ' or ".", at most 63 in all';
my $rule =
    'a rule\'s name must be a letter, then letters, digits, "_", "-" or'
    . ' ".", at most 63 in all';
my $cidr =
    'must be an IPv4 or IPv6 address or network, as "10.0.0.0/8" or'
    . ' "2001:db8::/32"';
my $interval =
    'must be [START, END], buckets from 0 to 1000000, START less than'
    . ' END';
my $attribute =
    'must be 1 to 255 printable characters without space, ";" and ","';
my $variable = '; there are variables of nginx, as "$remote_addr", geo.PATH,'
               . ' device, time and percent';
my $range = 'number is not within -9007199254740992 to 9007199254740992';
my $baseline = 'the baseline has no weight, it takes what the others leave';


my @good = (
    '{}',
    '{"release":"app","revision":1,"origin":"x","declared_differs":true}',
    '{"enabled":false}',
    '{"fallback":"off"}',
    '{"fallback":"baseline"}',
    '{"fallback":null}',
    '{"hash":null}',
    '{"hash":null,"cookie":{"name":"uid"}}',
    '{"cookie":{"name":"uid","expires":"30d","domain":"example.com",'
    . '"path":"/x","secure":true,"httponly":false,"samesite":"lax"}}',
    '{"hash":["$cookie_uid","$arg_uid","$http_x_uid"]}',
    '{"salt":"other"}',
    '{"variants":{"canary":{"weight":0}}}',
    '{"variants":{"canary":{"weight":100}}}',
    '{"variants":{"canary":{"weight":0.0001}}}',
    '{"variants":{"canary":{"weight":33.3333}}}',
    '{"variants":{"canary":null}}',
    '{"variants":{"canary":{"weight":60},"a.b-c_1":{"upstream":"app_v1",'
    . '"weight":40}}}',
    '{"variants":{"canary":{"weight":50}},"allocation":{"canary":[[500000,'
    . '1000000]]}}',
    '{"variants":{"canary":{"weight":50}},"allocation":{"canary":[[0,1]]}}',
    '{"allocation":{"other":[[0,1]]}}',
    '{"rules":[{"variant":"canary","allocation":{},"when":{"$arg_x":1}}]}',
    '{"rules":[]}',
    '{"rules":[{"name":"r","variant":"canary","when":{"$arg_x":"1"}}]}',
    '{"rules":[{"name":"r","weights":{"canary":20},"when":{"$arg_x":1}}]}',
    '{"rules":[{"name":"r","weights":{"canary":20},"allocation":{'
    . '"canary":[[0,200000]]},"when":{"$arg_x":1}}]}',
    '{"rules":[{"variant":"canary","when":{"all":[{"$arg_x":"1"}],"any":[{'
    . '"$arg_y":[1,2]}],"not":{"$arg_z":{"exists":true}}}}]}',
    '{"rules":[{"variant":"canary","when":{"$http_x":{"eq":"a","ne":"b",'
    . '"in":["a"],"not_in":["c"],"prefix":"a","suffix":"a","contains":"a",'
    . '"regex":"^a","ignore_case":true}}}]}',
    '{"rules":[{"variant":"canary","when":{"$arg_n":{"lt":5,"lte":5.5,'
    . '"gt":-1,"gte":0}}}]}',
    '{"rules":[{"variant":"canary","when":{"$remote_addr":{"cidr":['
    . '"10.0.0.0/8","::1","192.0.2.1","2001:db8::/32"]}}}]}',
);

# what is merged, or "=" and a whole document, then each fault

my @bad = (
    [ '=1', '', 'must be an object' ],
    [ '=[]', '', 'must be an object' ],
    [ '="x"', '', 'must be an object' ],
    [ '={}', '/baseline', 'is missing', '/variants', 'is missing' ],
    [ '={"enabled":null,"baseline":"a","variants":{"a":{'
      . '"upstream":"app_v1"}}}',
      '/enabled', 'must be true or false' ],
    [ '{"release":"other"}',
      '/release', 'must be "app", the release\'s name' ],
    [ '{"release":7}', '/release', 'must be a string' ],
    [ '{"revision":"1"}', '/revision', 'must be a number' ],
    [ '{"revision":0}', '/revision', 'must be a whole number from 1 on' ],
    [ '{"revision":1.5}', '/revision', 'must be a whole number from 1 on' ],
    [ '{"origin":1}', '/origin', 'must be a string' ],
    [ '{"declared_differs":"no"}',
      '/declared_differs', 'must be true or false' ],
    [ '{"fall_back":"baseline"}', '/fall_back', $members ],
    [ '{"rollout":{}}', '/rollout/variant', 'is missing',
      '/rollout/steps', 'is missing' ],
    [ '{"Enabled":true}', '/Enabled', $members ],
    [ '{"":1}', '/', $members ],
    [ '{"a/b":1,"a~b":1}', '/a~1b', $members, '/a~0b', $members ],
    [ '{"enabled":"true"}', '/enabled', 'must be true or false' ],
    [ '{"enabled":1}', '/enabled', 'must be true or false' ],
    [ '{"baseline":""}',
      '/baseline', 'no variant ""; there are canary, stable' ],
    [ '{"baseline":"other"}',
      '/baseline', 'no variant "other"; there are canary, stable',
      '/variants/stable/weight',
        'is missing; every variant but the baseline has one' ],
    [ '{"baseline":["stable"]}', '/baseline', 'must be a string' ],
    [ '{"baseline":null}', '/baseline', 'is missing' ],
    [ '{"baseline":"canary"}',
      '/variants/canary/weight', $baseline,
      '/variants/stable/weight',
        'is missing; every variant but the baseline has one' ],
    [ '{"hash":"$cookie_uid"}', '/hash', 'must be an array' ],
    [ '{"hash":[]}', '/hash', 'must have 1 to 16 variables' ],
    [ '{"hash":["cookie_uid"]}',
      '/hash/0', 'must be a variable, as "$cookie_uid"' ],
    [ '{"hash":["$"]}',
      '/hash/0', 'must be a variable, as "$cookie_uid"' ],
    [ '{"hash":["$gray_app"]}',
      '/hash/0', '"$gray_app" is what the release itself decides' ],
    [ '{"hash":[1]}', '/hash/0', 'must be a variable, as "$cookie_uid"' ],
    [ '{"hash":["$no_such_variable"]}',
      '/hash/0',
        'unknown variable "$no_such_variable", this nginx has none of that'
        . ' name' ],
    [ '{"cookie":"uid"}', '/cookie', 'must be an object' ],
    [ '{"cookie":{}}', '/cookie/name', 'is missing' ],
    [ '{"cookie":{"name":""}}',
      '/cookie/name',
        'must be a cookie\'s name of 1 to 63 characters, without separators' ],
    [ '{"cookie":{"name":"a=b"}}',
      '/cookie/name',
        'must be a cookie\'s name of 1 to 63 characters, without separators' ],
    [ '{"cookie":{"name":"uid","expires":30}}',
      '/cookie/expires', 'must be a string' ],
    [ '{"cookie":{"name":"uid","expires":"soon"}}',
      '/cookie/expires', 'must be a time with a unit, as "30d" or "12h"' ],
    [ '{"cookie":{"name":"uid","expires":"0"}}',
      '/cookie/expires', 'must be a time with a unit, as "30d" or "12h"' ],
    [ '{"cookie":{"name":"uid","domain":"a;b"}}',
      '/cookie/domain', $attribute ],
    [ '{"cookie":{"name":"uid","path":"a b"}}', '/cookie/path', $attribute ],
    [ '{"cookie":{"name":"uid","secure":"yes"}}',
      '/cookie/secure', 'must be true or false' ],
    [ '{"cookie":{"name":"uid","samesite":"Lax"}}',
      '/cookie/samesite', 'must be "lax", "strict" or "none"' ],
    [ '{"cookie":{"name":"uid","max_age":1}}',
      '/cookie/max_age',
        'unknown member; there are name, expires, domain, path, secure,'
        . ' httponly, samesite' ],
    [ '{"fallback":""}',
      '/fallback', 'must be "off" or "baseline"' ],
    [ '{"fallback":"Baseline"}',
      '/fallback', 'must be "off" or "baseline"' ],
    [ '{"fallback":"canary"}',
      '/fallback', 'must be "off" or "baseline"' ],
    [ '{"fallback":true}', '/fallback', 'must be a string' ],
    [ '{"salt":""}', '/salt', 'must be a string of 1 to 255 bytes' ],
    [ '{"salt":5}', '/salt', 'must be a string' ],
    [ '{"variants":[]}',
      '/baseline', 'no variant "stable"; there are none',
      '/variants', 'must be an object' ],
    [ '={"baseline":"a","variants":{}}',
      '/baseline', 'no variant "a"; there are none',
      '/variants', 'must have 1 to 32 variants' ],
    [ '{"variants":{"":{"upstream":"app_v1","weight":1}}}',
      '/variants/', $variant ],
    [ '{"variants":{"a/b":{"upstream":"app_v1","weight":101}}}',
      '/variants/a~1b', $variant,
      '/variants/a~1b/weight', '101 is not within 0 to 100' ],
    [ '{"variants":{"a~b":{"upstream":"app_v1","weight":101}}}',
      '/variants/a~0b', $variant,
      '/variants/a~0b/weight', '101 is not within 0 to 100' ],
    [ '{"variants":{"1st":{"upstream":"app_v1","weight":1}}}',
      '/variants/1st', $variant ],
    [ '{"variants":{"canary":5}}', '/variants/canary', 'must be an object' ],
    [ '{"variants":{"canary":{"weight":null}}}',
      '/variants/canary/weight',
        'is missing; every variant but the baseline has one' ],
    [ '{"variants":{"canary":{"weight":"5"}}}',
      '/variants/canary/weight', 'must be a number' ],
    [ '{"variants":{"canary":{"weight":"5%"}}}',
      '/variants/canary/weight', 'must be a number' ],
    [ '{"variants":{"canary":{"weight":-1}}}',
      '/variants/canary/weight', '-1 is not within 0 to 100' ],
    [ '{"variants":{"canary":{"weight":101}}}',
      '/variants/canary/weight', '101 is not within 0 to 100' ],
    [ '{"variants":{"canary":{"weight":5.00001}}}',
      '/variants/canary/weight', '5.00001 has more than 4 decimals' ],
    [ '{"variants":{"canary":{"weight":0.00001}}}',
      '/variants/canary/weight', '1e-05 has more than 4 decimals' ],
    [ '{"variants":{"canary":{"weight":60},"third":{"upstream":"app_v1",'
      . '"weight":40.0001}}}',
      '/variants', 'the weights sum to 100.0001, must be at most 100' ],
    [ '{"variants":{"stable":{"weight":95}}}',
      '/variants/stable/weight', $baseline ],
    [ '{"variants":{"canary":{"upstream":null}}}',
      '/variants/canary/upstream', 'is missing' ],
    [ '{"variants":{"canary":{"upstream":""}}}',
      '/variants/canary/upstream', 'must be a string of 1 to 255 bytes' ],
    [ '{"variants":{"canary":{"upstream":"app_v3"}}}',
      '/variants/canary/upstream',
        'no upstream "app_v3"; there are app_v1, app_v2' ],
    [ '{"variants":{"canary":{"upstream":"switch"}}}',
      '/variants/canary/upstream',
        '"switch" is a release; a variant needs an upstream or an address' ],
    [ '{"variants":{"canary":{"upstream":"app"}}}',
      '/variants/canary/upstream',
        '"app" is a release; a variant needs an upstream or an address' ],
    [ '{"variants":{"canary":{"upstream":"APP"}}}',
      '/variants/canary/upstream',
        '"APP" is a release; a variant needs an upstream or an address' ],
    [ '{"variants":{"canary":{"upstream":"127.0.0.1:9"}}}',
      '/variants/canary/upstream',
        'no upstream "127.0.0.1:9"; there are app_v1, app_v2' ],
    [ '{"variants":{"canary":{"upstream":"http://app_v2"}}}',
      '/variants/canary/upstream',
        'no upstream "http://app_v2"; there are app_v1, app_v2' ],
    [ '{"variants":{"canary":{"upstream":["app_v2"]}}}',
      '/variants/canary/upstream', 'must be a string' ],
    [ '{"variants":{"canary":{"server":"app_v2"}}}',
      '/variants/canary/server',
        'unknown member; there are upstream, weight' ],
    [ '{"variants":{"canary":{"weight":101,"upstream":"app_v3"}},"salt":""}',
      '/salt', 'must be a string of 1 to 255 bytes',
      '/variants/canary/weight', '101 is not within 0 to 100',
      '/variants/canary/upstream',
        'no upstream "app_v3"; there are app_v1, app_v2' ],
    [ '{"allocation":[]}', '/allocation', 'must be an object' ],
    [ '{"allocation":{"canary":1}}',
      '/allocation/canary', 'must be an array of intervals' ],
    [ '{"allocation":{"canary":[[0]]}}', '/allocation/canary/0', $interval ],
    [ '{"allocation":{"canary":[[5,5]]}}', '/allocation/canary/0', $interval ],
    [ '{"allocation":{"canary":[[0,1000001]]}}',
      '/allocation/canary/0', $interval ],
    [ '{"rules":{}}', '/rules', 'must be an array' ],
    [ '{"rules":[1]}', '/rules/0', 'must be an object' ],
    [ '{"rules":[{}]}',
      '/rules/0/when', 'is missing',
      '/rules/0', 'must have either "variant" or "weights"' ],
    [ '{"rules":[{"variant":"canary"}]}', '/rules/0/when', 'is missing' ],
    [ '{"rules":[{"when":{"$arg_x":1}}]}',
      '/rules/0', 'must have either "variant" or "weights"' ],
    [ '{"rules":[{"variant":"canary","weights":{"canary":1},"name":"r",'
      . '"when":{"$arg_x":1}}]}',
      '/rules/0', 'must have either "variant" or "weights"' ],
    [ '{"rules":[{"variant":"other","when":{"$arg_x":1}}]}',
      '/rules/0/variant', 'no variant "other"; there are canary, stable' ],
    [ '{"rules":[{"weights":{"canary":1},"when":{"$arg_x":1}}]}',
      '/rules/0/name',
        'is missing; a rule with "weights" keeps its users by its name' ],
    [ '{"rules":[{"name":"r","weights":{},"when":{"$arg_x":1}}]}',
      '/rules/0/weights', 'must have at least one variant\'s weight' ],
    [ '{"rules":[{"name":"r","weights":{"other":1},"when":{"$arg_x":1}}]}',
      '/rules/0/weights/other',
        'no variant "other"; there are canary, stable' ],
    [ '{"rules":[{"name":"r","weights":{"stable":1},"when":{"$arg_x":1}}]}',
      '/rules/0/weights/stable', $baseline ],
    [ '{"rules":[{"name":"r","weights":{"canary":100.5},"when":{'
      . '"$arg_x":1}}]}',
      '/rules/0/weights/canary', '100.5 is not within 0 to 100' ],
    [ '{"rules":[{"name":"r","weights":{"canary":"1"},"when":{"$arg_x":1}}]}',
      '/rules/0/weights/canary', 'must be a number' ],
    [ '{"rules":[{"name":"","variant":"canary","when":{"$arg_x":1}}]}',
      '/rules/0/name', $rule ],
    [ '{"rules":[{"name":"a/b","variant":"canary","when":{"$arg_x":1}}]}',
      '/rules/0/name', $rule ],
    [ '{"rules":[{"name":"r","variant":"canary","when":{"$arg_x":1}},{'
      . '"name":"r","variant":"canary","when":{"$arg_x":1}}]}',
      '/rules/1/name', 'is also the name of rule 0' ],
    [ '{"rules":[{"variant":"canary","if":{},"when":{"$arg_x":1}}]}',
      '/rules/0/if',
        'unknown member; there are name, when, variant, weights, allocation' ],
    [ rule('[]'),
      '/rules/0/when', 'must be an object' ],
    [ rule('{}'),
      '/rules/0/when', 'must be an object with at least one condition' ],
    [ rule('{"arg_x":1}'),
      '/rules/0/when/arg_x', 'unknown attribute "arg_x"' . $variable ],
    [ rule('{"geo.country.iso_code":"CN"}'),
      '/rules/0/when/geo.country.iso_code',
        '"geo.country.iso_code" needs a database: "gray_geoip FILE" in '
        . 'nginx.conf' ],
    [ rule('{"devices":"bot"}'),
      '/rules/0/when/devices', 'unknown attribute "devices"' . $variable ],
    [ rule('{"$":1}'),
      '/rules/0/when/$',
        '"$" is no variable, must be "$", then letters, digits or "_"' ],
    [ rule('{"$gray_app":"canary"}'),
      '/rules/0/when/$gray_app',
        '"$gray_app" is what the release itself decides' ],
    [ rule('{"not":{"$GRAY_app_bucket":{"lt":5}}}'),
      '/rules/0/when/not/$GRAY_app_bucket',
        '"$gray_app_bucket" is what the release itself decides' ],
    [ rule('{"any":[{"$gray_decisions":"x"}]}'),
      '/rules/0/when/any/0/$gray_decisions',
        '"$gray_decisions" is what the release itself decides' ],
    [ rule('{"$no_such":1}'),
      '/rules/0/when/$no_such',
        'unknown variable "$no_such", this nginx has none of that name' ],
    [ rule('{"all":{}}'),
      '/rules/0/when/all',
        'must be an array with at least one object of conditions' ],
    [ rule('{"any":[]}'),
      '/rules/0/when/any',
        'must be an array with at least one object of conditions' ],
    [ rule('{"any":[1]}'),
      '/rules/0/when/any/0', 'must be an object with at least one condition' ],
    [ rule('{"not":[]}'),
      '/rules/0/when/not', 'must be an object with at least one condition' ],
    [ rule('{"not":{}}'),
      '/rules/0/when/not', 'must be an object with at least one condition' ],
    [ rule('{"$arg_x":null}'),
      '/rules/0/when/$arg_x', 'must be a string, a number, true or false' ],
    [ rule('{"$arg_x":""}'),
      '/rules/0/when/$arg_x',
        'must not be empty; absent or empty is {"exists": false}' ],
    [ rule('{"$arg_x":[]}'),
      '/rules/0/when/$arg_x',
        'must be an array of strings, numbers, true and false, not empty' ],
    [ rule('{"$arg_x":[1,null]}'),
      '/rules/0/when/$arg_x/1', 'must be a string, a number, true or false' ],
    [ rule('{"$arg_x":[["a"]]}'),
      '/rules/0/when/$arg_x/0', 'must be a string, a number, true or false' ],
    [ rule('{"$arg_x":{}}'),
      '/rules/0/when/$arg_x', 'must have at least one operator' ],
    [ rule('{"$arg_x":{"equals":"a"}}'),
      '/rules/0/when/$arg_x/equals', $operators ],
    [ rule('{"$arg_x":{"in_list":"vips"}}'),
      '/rules/0/when/$arg_x/in_list',
        'lists need "state=DIR" of gray_zone "gray"' ],
    [ rule('{"$arg_x":{"in":"a"}}'),
      '/rules/0/when/$arg_x/in',
        'must be an array of strings, numbers, true and false, not empty' ],
    [ rule('{"$arg_x":{"in":[]}}'),
      '/rules/0/when/$arg_x/in',
        'must be an array of strings, numbers, true and false, not empty' ],
    [ rule('{"$arg_x":{"eq":["a"]}}'),
      '/rules/0/when/$arg_x/eq', 'must be a string, a number, true or false' ],
    [ rule('{"$arg_x":{"lt":"5"}}'),
      '/rules/0/when/$arg_x/lt', 'must be a number' ],
    [ rule('{"$arg_x":{"prefix":""}}'),
      '/rules/0/when/$arg_x/prefix',
        'must not be empty; absent or empty is {"exists": false}' ],
    [ rule('{"$arg_x":{"exists":1}}'),
      '/rules/0/when/$arg_x/exists', 'must be true or false' ],
    [ rule('{"$arg_x":{"ignore_case":true}}'),
      '/rules/0/when/$arg_x', 'must have at least one operator' ],
    [ rule('{"$arg_x":{"eq":"a","ignore_case":1}}'),
      '/rules/0/when/$arg_x/ignore_case', 'must be true or false' ],
    [ rule('{"$arg_x":{"exists":true,"ignore_case":true}}'),
      '/rules/0/when/$arg_x/ignore_case',
        'goes with eq, ne, in, not_in, prefix, suffix, contains and regex' ],
    [ rule('{"$arg_x":{"regex":"a(b"}}'),
      '/rules/0/when/$arg_x/regex',
        'invalid pattern at offset 3: missing closing parenthesis' ],
    [ rule('{"$arg_x":{"regex":""}}'),
      '/rules/0/when/$arg_x/regex',
        'must be a pattern, a string that is not empty' ],
    [ rule('{"$remote_addr":{"cidr":"10.0.0.0/33"}}'),
      '/rules/0/when/$remote_addr/cidr', $cidr ],
    [ rule('{"$remote_addr":{"cidr":"10.0.0"}}'),
      '/rules/0/when/$remote_addr/cidr', $cidr ],
    [ rule('{"$remote_addr":{"cidr":"::1/129"}}'),
      '/rules/0/when/$remote_addr/cidr', $cidr ],
    [ rule('{"$remote_addr":{"cidr":"10.0.0.1/8"}}'),
      '/rules/0/when/$remote_addr/cidr',
        '"10.0.0.1/8" has host bits set behind its first 8 bits, which must'
        . ' be zero' ],
    [ rule('{"$remote_addr":{"cidr":"2001:db8::1/32"}}'),
      '/rules/0/when/$remote_addr/cidr',
        '"2001:db8::1/32" has host bits set behind its first 32 bits, which'
        . ' must be zero' ],
    [ rule('{"$remote_addr":{"cidr":[]}}'),
      '/rules/0/when/$remote_addr/cidr',
        'must be a string, or an array of strings that is not empty' ],
    [ rule('{"$arg_a/b":{"gt":"x"}}'),
      '/rules/0/when/$arg_a~1b',
        '"$arg_a/b" is no variable, must be "$", then letters, digits or "_"'
    ],
    [ rule('{"$cookie_a~b":{"gt":"x"}}'),
      '/rules/0/when/$cookie_a~0b/gt', 'must be a number' ],
    [ rule('{"$arg_x":{"cidr":"::ffff:10.0.0.0/8"}}'),
      '/rules/0/when/$arg_x/cidr',
        'must be an IPv4 or IPv6 address or network, as "10.0.0.0/8" or'
        . ' "2001:db8::/32"' ],
);

# more than a document may have, whose faults are judged no further

sub many {
    my ($n, $item) = @_;

    return join ',', map { $item->($_) } 1 .. $n;
}

push @bad, (
    [ rule('{' . many(256, sub { sprintf '"$arg_a%03d":1', $_[0] }) . '}'),
      '/rules/0/when/$arg_a256',    # one is in "hash"
        'is one attribute too many, a document may have 256' ],
    [ rule('{"$arg_x":{"regex":[' . many(257, sub { '"a"' }) . ']}}'),
      '/rules/0/when/$arg_x/regex/256',
        'is one pattern too many, a document may have 256' ],
);

# a text, then line, column and detail

my @malformed = (
    [ '', 1, 1, 'unexpected end, expected a value' ],
    [ 'x', 1, 1, 'expected a value' ],
    [ '{', 1, 2, 'unexpected end, expected a key in double quotes or "}"' ],
    [ '{"a":1', 1, 7, 'unexpected end, expected "," or "}"' ],
    [ '{"a":1}}', 1, 8, 'expected the end of the text' ],
    [ '{"a":1}{"a":1}', 1, 8, 'expected the end of the text' ],
    [ '{"a":1} 2', 1, 9, 'expected the end of the text' ],
    [ '{"a":1,}', 1, 8, 'expected a key in double quotes' ],
    [ '{\'a\':1}', 1, 2, 'expected a key in double quotes or "}"' ],
    [ '{"a":1,"a":2}', 1, 8, 'duplicate key "a"' ],
    [ "{\"baseline\":\"a\",\n \"baseline\":\"b\"}", 2, 2,
      'duplicate key "baseline"' ],
    [ '{"a":NaN}', 1, 6, 'expected a value' ],
    [ '{"a":Infinity}', 1, 6, 'expected a value' ],
    [ '{"a":1e999}', 1, 6, $range ],
    [ '{"a":-1e999}', 1, 6, $range ],
    [ '{"a":9007199254740993}', 1, 6, $range ],
    [ '{"a":1e-999}', 1, 6,
      'number is too close to 0, must be 0 or at least 1e-300' ],
    [ '{"a":01}', 1, 6, 'leading zero in a number' ],
    [ '{"a":+1}', 1, 6, 'expected a value' ],
    [ '{"a":.5}', 1, 6, 'expected a value' ],
    [ "{\"a\":\"\x01\"}", 1, 7,
      'control character in a string, must be written as \\u0001' ],
    [ "{\"a\":\"\xff\"}", 1, 7, 'invalid UTF-8' ],
    [ "{\"a\":\"\xc0\xaf\"}", 1, 7, 'invalid UTF-8' ],
    [ "{\"a\":\"\xed\xa0\x80\"}", 1, 7, 'invalid UTF-8' ],
    [ "{\"a\":\"\\u0000\"}", 1, 7, '\\u0000 is not accepted' ],
    [ "{\"a\":\"\\ud800\"}", 1, 7,
      'lone surrogate, must be a high one followed by a low one' ],
    [ "{\"a\":\"\\x\"}", 1, 7,
      'invalid escape, must be one of \\" \\\\ \\/ \\b \\f \\n \\r \\t '
      . '\\uXXXX' ],
    [ '{"a":"b', 1, 8, 'unexpected end, expected the end of a string' ],
    [ "\xef\xbb\xbf{}", 1, 1, 'byte order mark, must be UTF-8 without it' ],
    [ '[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]', 1, 17,
      'nested deeper than 16 levels' ],
    [ '{} // x', 1, 4, 'expected the end of the text' ],
    [ "\0", 1, 1, 'expected a value' ],
);


for my $patch (@good) {
    my $response = $t->api('PUT', '/gray/releases/app?dry_run=1',
                           document($patch));

    is($response->{status}, 200, $patch) or diag($response->{body});
}

for (@bad) {
    my ($patch, @faults) = @$_;

    my $response = $t->api('PUT', '/gray/releases/app', document($patch));

    my @told = map { ($_->{pointer}, $_->{detail}) }
               @{ $response->{json}{errors} || [] };

    is($response->{status}, 422, "$patch: 422");
    is_deeply(\@told, \@faults, $patch);
}

for (@malformed) {
    my ($text, $line, $column, $detail) = @$_;

    my $response = $t->api('PUT', '/gray/releases/app', $text);

    is($response->{status}, 400, "$detail: 400");
    is_deeply($response->{json},
              { title => 'Malformed JSON', status => 400, detail => $detail,
                line => $line, column => $column }, $detail);
}


# -- faults that are more than a line

my $response = $t->api('PATCH', '/gray/releases/app',
                       { baseline => 'canary' });
is($response->{status}, 422, 'PATCH of the baseline alone moves nobody');
is_deeply([ map { $_->{pointer} } @{ $response->{json}{errors} } ],
          [ '/variants/stable/weight', '/variants/canary/weight' ],
          'it needs weights');

$response = $t->api('PUT', '/gray/releases/app',
                    merge($json->decode($base), { map { ("x$_" => 1) }
                                                  1 .. 25 }));
is($response->{json}{detail}, '25 faults, of which the first 20 are named',
   'many faults');
is(scalar @{ $response->{json}{errors} }, 20, '20 are named');

my %many = map { ("v$_" => { upstream => 'app_v1', weight => 1 }) } 1 .. 31;

$response = $t->api('PUT', '/gray/releases/app?dry_run=1',
                    merge($json->decode($base), { variants => \%many }));
is($response->{json}{errors}[0]{detail}, 'has 33 variants, may have 32',
   'too many variants');

my $name = 'v' x 64;
$response = $t->api('PATCH', '/gray/releases/app', { variants => {
                    $name => { upstream => 'app_v1', weight => 1 } } });
is($response->{json}{errors}[0]{pointer}, "/variants/$name", 'long name');

my @rules = map { { variant => 'canary', when => { '$arg_x' => 'x' x 200 } } }
            1 .. 50;
$response = $t->api('PATCH', '/gray/releases/app', { rules => \@rules });
is($response->{status}, 413, 'too large for the zone');
is($response->{json}{title}, 'Document too large', 'too large: title');
like($response->{json}{errors}[0]{detail},
     qr/^is \d+ bytes long, the zone takes documents of at most 8192: /,
     'too large: sizes');


# -- switches and releases that route

for ([ app => { upstream => undef }, 'is missing' ],
     [ switch => { upstream => 'app_v1' },
       'must not be given, nginx.conf declares the release without '
       . 'upstreams' ])
{
    my ($release, $patch, $detail) = @$_;
    my $variant = $release eq 'app' ? 'canary' : 'on';

    $response = $t->api('PATCH', "/gray/releases/$release",
                        { variants => { $variant => $patch } });
    is_deeply($response->{json}{errors},
              [ { pointer => "/variants/$variant/upstream",
                  detail => $detail } ], "$release: upstream");
}

$response = $t->api('PATCH', '/gray/releases/switch',
                    { fallback => 'baseline' });
is_deeply($response->{json}{errors},
          [ { pointer => '/fallback',
              detail => '"baseline" needs variants with upstreams' } ],
          'switch: fallback');

is($t->api('GET', '/gray/releases/app')->{json}{revision}, 1,
   'nothing was changed');

$t->done;
