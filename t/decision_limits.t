#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Rules at their edges: names in any case, one id for two releases of which
# one reads the other, large values, and explanations of all of these.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 16m document=1m;
    client_max_body_size         2m;
    client_body_buffer_size      2m;
    large_client_header_buffers  8 64k;

    gray_release feature {
        zone     gray;
        hash     $arg_uid;
        variant  off;
        variant  on;
    }

    gray_release inner {
        zone     gray;
        cookie   uid;
        variant  off;
        variant  on weight=50%;
    }

    gray_release outer {
        zone     gray;
        cookie   uid;
        variant  off;
        variant  on;
        match    on percent < 50 and $gray_inner = on name=low;
        match    on percent >= 50 and $gray_inner = on name=high;
    }

    gray_release drawn {
        zone     gray;
        variant  off;
        variant  on;
        match    on percent < 50 name=half;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/  { gray_admin; }
        location /outer  { return 200 "$gray_outer $gray_inner"; }
        location /       { return 200 "$gray_feature $gray_feature_rule"; }
    }
}
END


sub rules {
    my $response = $t->api('PATCH', '/gray/releases/feature',
                           { rules => [ @_ ] });

    is($response->{status}, 200, 'changed')
        or diag(substr $response->{body}, 0, 1000);
}


sub explained {
    my ($release, $given) = @_;

    my $response = $t->api('POST', "/gray/releases/$release/explain", $given);

    is($response->{status}, 200, 'explained') or diag($response->{body});
    return $response;
}


sub ask {
    my ($uri, @headers) = @_;

    return $t->request('GET', $uri, \@headers)->{body};
}


my $true = JSON::PP::true();

# -- names in any case: one attribute, and the same as in lower case

rules(map { { when => { ($_ % 2 ? '$Arg_g' : '$arg_G') => "v$_" },
              variant => 'on' } } 1 .. 600);

is(ask('/?g=v599'), 'on 598', 'one attribute, however it is written');

rules({ when => { '$Arg_g' => { eq => 'a b', decode => $true,
                                values => 'last' } }, variant => 'on' },
      { when => { percent => { gte => 0, of => '$ARG_h' } },
        variant => 'on' });

is(ask('/?g=x&G=a+b'), 'on 0', 'modifiers in any case');
is(ask('/?h=1'), 'on 1', '"of" in any case');

# -- one id, although the one decision is made within the other

for (1 .. 10) {
    my @sent = $t->raw("GET /outer HTTP/1.0\r\nHost: localhost\r\n\r\n")
               =~ /^Set-Cookie: uid=(\w+)/mg;

    is(scalar @sent, 1, 'one id') or next;

    is(ask('/outer', Cookie => "uid=$sent[0]"),
       explained('inner', { '$cookie_uid' => $sent[0] })->{json}{variant}
       eq 'on' ? 'on on' : 'off off', 'and it stays');
}

# -- what cannot be told in advance is not told

my $told = explained('outer', { '$gray_inner' => 'on' })->{json};

is_deeply([ map { $_->{holds} } @{ $told->{rules} } ], [ undef, undef ],
          'percent of an id that is yet to be made');
is($told->{variant}, undef, 'and so the variant');

$told = explained('drawn', {})->{json};

is_deeply([ map { $_->{holds} } @{ $told->{rules} } ], [ undef ],
          'percent by chance');
is($told->{variant}, undef, 'by chance, the variant');

# -- several values as nginx takes them, in requests as in explanations

for ([ '$http_x', 'X', [ 'a', 'b' ], 'a, b' ],
     [ '$http_x', 'X', [ 'a', 'b' ], 'a' ],
     [ '$cookie_x', 'Cookie', [ 'x=', 'x=b' ], 'b' ],
     [ '$cookie_x', 'Cookie', [ 'x=a', 'x=b' ], 'a' ])
{
    my ($name, $header, $values, $expected) = @$_;

    rules({ when => { $name => $expected }, variant => 'on' });

    my @sent = $header eq 'Cookie' ? ( Cookie => join '; ', @$values )
             : map { ( $header => $_ ) } @$values;
    my @given = map { s/^x=//r } @$values;

    is(explained('feature', { $name => \@given })->{json}{variant},
       (split ' ', ask('/', @sent))[0], "$name is $expected of @$values");
}

rules({ when => { device => 'mobile' }, variant => 'on' });

is(explained('feature', { '$http_user_agent' =>
    [ 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) '
      . 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 '
      . 'Mobile/15E148 Safari/604.1' ] })->{json}{variant}, 'on',
   'the first User-Agent');

# -- large values, and bytes that are no text

rules(map { { when => { '$arg_g' => { eq => "v$_", decode => $true } },
              variant => 'on' } } 1 .. 2000);

my $response = explained('feature', { '$arg_g' => 'x' x 100_000 });

cmp_ok(length $response->{body}, '<', 2_000_000,
       'explained in ' . length($response->{body}) . ' bytes');
is(scalar @{ $response->{json}{rules} }, 2000, 'all rules');

$response = explained('feature', { '$arg_g' => '%ff%00' });

is($response->{json}{rules}[0]{failed}{value}, "\x{fffd}\x{fffd}",
   'what is no UTF-8');

rules({ when => { '$arg_g' => { regex => '^\x00\xff$', decode => $true } },
        variant => 'on' });

is(ask('/?g=%00%ff'), 'on 0', 'a NUL is a byte as any other');
is(ask('/?g=' . 'x' x 60_000), 'off ', 'a long argument');

# -- many values of one name cost what one may cost

rules({ when => { '$arg_g' => { regex => '^(a|a)*$', values => 'any' } },
        variant => 'on' });

my $slow = 'g=' . 'a' x 9 . 'b';

is(ask("/?$slow&g=aa"), 'on 0', 'the second value');
is(ask('/?' . join('&', ($slow) x 100) . '&g=aa'), 'off ',
   'not after so many');
is(ask('/?' . join('&', ('g=b') x 255) . '&g=aa'), 'on 0', '256 values');
is(ask('/?g=aa&' . join('&', ('g=b') x 256)), 'off ', 'one more');
is(explained('feature', { '$arg_g' => [ 'aa', ('b') x 256 ] })
   ->{json}{rules}[0]{holds}, undef, 'which is explained');
ok($t->wait_log(qr/a pattern took too many steps/), 'which is said');

$t->done;
