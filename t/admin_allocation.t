#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: which buckets variants hold after a document that says so, and
# after a DELETE, which moves nobody who need not.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new;

$t->write_file('app.json', <<'END');
{"baseline": "off", "hash": ["$arg_uid"],
 "variants": {"off": {}, "a": {"weight": 10}, "b": {"weight": 20},
              "c": {"weight": 5}},
 "rules": [{"name": "part", "when": {"$arg_x": "1"},
            "weights": {"a": 10, "b": 20, "c": 5}}]}
END

$t->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    gray_release app {
        zone      gray;
        document  app.json;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
        location /      { return 200 $gray_app; }
    }
}
END

my $app = '/gray/releases/app';
my $users = 400;


sub document { return $t->api('GET', $app)->{json} }


# changes what GET serves by the code

sub edit {
    my ($code) = @_;

    my $document = document();

    $code->($document);
    return $t->api('PUT', $app, $document);
}


# weights of the release and of its rule

sub weigh {
    my ($variant, $weight) = @_;

    my $response = edit(sub {
        $_[0]{variants}{$variant}{weight} = $weight;
        $_[0]{rules}[0]{weights}{$variant} = $weight;
    });

    is($response->{status}, 200, "$variant: $weight")
        or diag($response->{body});
}


# the variants of many users; of those with "x", the rule's

sub ask {
    my ($x) = @_;

    return [ map { $_->{body} }
             $t->many($users, sub { "/?x=$x&uid=user-$_[0]" }) ];
}


my %declared = (a => [ [ 0, 100000 ] ], b => [ [ 100000, 300000 ] ],
                c => [ [ 300000, 350000 ] ]);

is_deeply(document()->{allocation}, \%declared, 'declared');
is_deeply(document()->{rules}[0]{allocation}, \%declared,
          'declared, of the rule');


# -- what is left out of account

my @besides = (
    [ 'unknown variants', gone => [ [ 0, 1000000 ] ],
      'no name' => [ [ 7, 9 ] ] ],
    [ 'the baseline', off => [ [ 0, 400000 ], [ 5, 10 ] ] ],
);

for (@besides) {
    my ($name, %more) = @$_;
    my $response = edit(sub {
        for my $owner ($_[0], $_[0]{rules}[0]) {
            $owner->{allocation} = { %{ $owner->{allocation} }, %more };
        }
    });

    is($response->{status}, 200, "$name: left out") or diag($response->{body});
    is($response->{json}{revision}, 1, "$name: no revision");
    is_deeply($response->{json}{allocation}, \%declared, "$name: as before");
}


# -- intervals that follow each other are one

my $pieces = edit(sub {
    $_[0]{allocation}{b} = [ [ 100000, 100001 ], [ 100001, 200000 ],
                             [ 200000, 300000 ] ];
    $_[0]{rules}[0]{allocation}{a} = [ [ 0, 100 ], [ 100, 100000 ] ];
});

is($pieces->{status}, 200, 'pieces');
is($pieces->{json}{revision}, 1, 'pieces: no revision');

$pieces = edit(sub {
    $_[0]{allocation}{b} = [ [ 200000, 300000 ], [ 100000, 150000 ],
                             [ 150000, 200000 ] ];
});

is($pieces->{json}{revision}, 2, 'in another order');
is_deeply($pieces->{json}{allocation}{b},
          [ [ 200000, 300000 ], [ 100000, 200000 ] ], 'two of three');

is_deeply($t->api('DELETE', $app)->{json}{allocation}{b},
          [ [ 200000, 300000 ], [ 100000, 200000 ] ],
          'DELETE keeps them as they were taken');
edit(sub { $_[0]{allocation} = \%declared });


# -- DELETE, after a history that has led "c" to another place

weigh(c => 0);
weigh(a => 20);
weigh(c => 5);

my %history = (a => [ [ 0, 100000 ], [ 300000, 400000 ] ],
               b => [ [ 100000, 300000 ] ], c => [ [ 400000, 450000 ] ]);

is_deeply(document()->{allocation}, \%history, 'history');

my %before = map { $_ => ask($_) } 0, 1;
my $reset = $t->api('DELETE', $app);

$history{a} = [ [ 0, 100000 ] ];

is($reset->{status}, 200, 'DELETE');
is($reset->{json}{origin}, 'nginx.conf', 'DELETE: as declared');
ok(!$reset->{json}{declared_differs}, 'DELETE: nothing differs');
is_deeply($reset->{json}{allocation}, \%history,
          'DELETE: only what shrinks gives back');
is_deeply($reset->{json}{rules}[0]{allocation}, \%history,
          'DELETE: so it is in the rule');

for my $x (0, 1) {
    my $after = ask($x);
    my @moved = grep { $before{$x}[$_] ne $after->[$_] } 0 .. $users - 1;

    ok(scalar(@moved), "x=$x: some users move");
    is(scalar(grep { $before{$x}[$_] ne 'a' || $after->[$_] ne 'off' } @moved),
       0, "x=$x: all of them from the one that shrinks");
}

$t->done;
