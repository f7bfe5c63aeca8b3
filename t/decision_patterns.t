#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Patterns on values as long as a header may be: what is written by people is
# matched, what would take too long is given up, counted, and told once.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone gray 1m;
    large_client_header_buffers 4 16k;

    gray_release app {
        zone gray;
        variant off;
        variant on;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /      { return 200 "$gray_app $gray_app_rule"; }
        location /gray/ { gray_admin; }
    }
}
END


# the next revision, with this pattern

sub pattern {
    my ($pattern) = @_;

    my $rules = [ { name => 'long', variant => 'on',
                    when => { '$http_x' => { regex => $pattern } } } ];
    my $response = $t->api('PATCH', '/gray/releases/app',
                           { rules => $rules });

    is($response->{status}, 200, 'pattern ' . substr $pattern, 0, 40)
        or diag($response->{body});
}


sub ask { return $t->get('/', X => $_[0])->{body} }


sub limited {
    my $status = $t->api('GET', '/gray/status')->{json};

    return $status->{releases}[0]{limited};
}


sub told {
    my @lines = $t->log =~ /\[warn\] .* gray: (.*?), client: /g;

    return @lines;
}


sub alternatives { return join '|', map { $_[0] . $_ } 0 .. $_[1] - 1 }


my $short_runs = 'a' x 63 . '-';

# -- whatever the machine code of PCRE2 needs of its stack

for my $case (
    [ '^(a|b)+$', 'a' x 3000, 1 ],
    [ '^(a|b)+$', 'ab' x 3900, 1 ],
    [ '^(a|b)+$', 'a' x 3000 . 'c', 0 ],
    [ '^(?:\w+=\w*&?)+$', 'a=1&' x 1750, 1 ],
    [ '^(?:\w+=\w*&?)+$', 'name=value&' x 636, 1 ],
    [ '^(?:[a-z]+;)*$', 'abc;' x 1900, 1 ],
    [ '^(?(?=a)a+|b+)$', 'a' x 3000, 1 ],

    # counts that are no burden

    [ '[a-f0-9]{64}', '0123456789abcdef' x 493, 1 ],
    [ '[a-f0-9]{64}', 'g' x 7900, 0 ],
    [ '[a-f0-9]{64}', 'ag' x 3950, 0 ],
    [ '[a-f0-9]{64}', $short_runs x 123, 0 ],
) {
    my ($pattern, $value, $holds) = @$case;

    pattern($pattern);
    is(ask($value), $holds ? 'on long' : 'off ',
       '... of ' . substr($value, 0, 12) . '..., ' . length($value) . ' bytes');
}

is(limited(), 0, 'none of them is given up');
is(scalar told(), 0, 'and nothing is said');

# -- what would take milliseconds at each place

my @slow = (
    [ alternatives('[a-z]{3000}', 10), ('a' x 2999 . '-') x 2 . 'a' x 1900 ],
    [ alternatives('[a-z]{3000,}', 10), ('a' x 2999 . '-') x 2 . 'a' x 1900 ],
    [ alternatives('[a-z]{2000}', 30), ('a' x 1999 . '-') x 3 . 'a' x 1900 ],
    [ '(*UTF)(*UCP)(?:' . alternatives('\p{L}{2500}', 4) . ')',
      "\xc3\xa4" x 2400 . '-' . "\xc3\xa4" x 1500 ],
    [ '(a+b).*?\1', 'a' x 2000 . 'b' . 'a' x 5890 ],
    [ '(?i)(a+b).*?\1', 'a' x 3900 . 'b' . 'A' x 3990 ],
    [ '(a+)+$', 'a' x 7900 . '!' ],
    [ '(?(?=a)(a+)+b|c)$', 'a' x 7900 . '!' ],
);

my $said = 'release "app": a pattern took too many steps for a value, so its'
           . ' rule did not hold';

for my $i (0 .. $#slow) {
    my ($pattern, $value) = @{ $slow[$i] };

    pattern($pattern);
    is(ask($value), 'off ', '... does not hold') for 1 .. 3;
    is(limited(), 3 * $i + 3, '... each match is counted');
    is_deeply([ told() ], [ ($said) x ($i + 1) ],
              '... and it is said once for the revision');
}

# -- what has no bound

my $response = $t->api('PATCH', '/gray/releases/app', { rules => [
    { variant => 'on', when => { '$http_x' => { regex => '(*UTF)\X*x' } } } ] });

is($response->{status}, 422, '\X');
is_deeply($response->{json}{errors},
          [ { pointer => '/rules/0/when/$http_x/regex',
              detail => 'the pattern has \X at offset 6, which is not taken' }
          ], '... is refused');

$t->done;
